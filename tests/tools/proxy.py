"""A TCP proxy between a client and its server, to cut, hold and refuse their connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from yarl import URL

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
Watch = Callable[[bytes, bool], bool]
"""Sees each piece of data and whether it goes up, towards the server; False lets the piece vanish."""


class Proxy:
    """`hold()` is a black hole until `release()`; `reset()` cuts all connections; while `refusing` new ones are cut at once; `latency` in seconds per piece.

    With `forgets`, what was held vanishes when its sender has gone meanwhile, as packets do; otherwise it arrives late.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._upstream = asyncio.Event()
        self._downstream = asyncio.Event()
        self.refusing = False
        self.forgets = False
        self.latency = 0.0
        self.watch: Watch | None = None
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
                both.create_task(self._pipe(reader, server_writer, self._upstream, up=True))
                both.create_task(self._pipe(server_reader, writer, self._downstream, up=False))
        finally:
            for each in (writer, server_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event, *, up: bool) -> None:
        """Until one side ends."""
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.latency:
                    await asyncio.sleep(self.latency)
                held = not gate.is_set()
                await gate.wait()
                if held and up and self.forgets and ended(reader):
                    break
                if self.watch is None or self.watch(data, up):
                    writer.write(data)
                    await writer.drain()
            writer.write_eof()

    async def close(self) -> None:
        self.release()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def ended(reader: asyncio.StreamReader) -> bool:
    """Whether its other side has closed or cut the connection, however much of it is still unread."""
    return reader.exception() is not None or bool(getattr(reader, "_eof", False))  # at_eof() waits for what is unread


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
