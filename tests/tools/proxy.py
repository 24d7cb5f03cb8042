"""A TCP proxy between a client and its server, to cut, hold and refuse their connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from yarl import URL

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """`hold()` is a black hole until `release()`; `reset()` cuts all connections; while `refusing` new ones are cut at once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._upstream = asyncio.Event()
        self._downstream = asyncio.Event()
        self.refusing = False
        self.release()

    def hold(self, *, up: bool = True, down: bool = True) -> None:
        """Pass nothing on, towards the server (`up`) and towards the client (`down`)."""
        if up:
            self._upstream.clear()
        if down:
            self._downstream.clear()

    def release(self) -> None:
        self._upstream.set()
        self._downstream.set()

    def reset(self) -> None:
        """As when a machine between restarts: both sides see a reset."""
        for writer in list(self._writers):
            with suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        if self.refusing:
            self.reset()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(server_writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pipe(reader, server_writer, self._upstream))
                both.create_task(pipe(server_reader, writer, self._downstream))
        finally:
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def close(self) -> None:
        self.release()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    """Until one side ends."""
    with suppress(OSError):
        while data := await reader.read(65536):
            await gate.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def through_proxy(url: str) -> AsyncIterator[tuple[str, Proxy]]:
    """The same URL with the proxy's address, and the proxy."""
    target = URL(url)
    proxy = Proxy(target.host or "127.0.0.1", target.port or 5672)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield str(target.with_host("127.0.0.1").with_port(server.sockets[0].getsockname()[1])), proxy
    finally:
        server.close()
        await proxy.close()
