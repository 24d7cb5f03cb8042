"""An HTTP proxy on loopback that looks up names by itself: it notes what it is asked for, and leads every name to one server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class HttpProxy:
    """`heads`: the request line and the headers of each connection, as text. `port`: where the names lead, on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.heads: list[str] = []
        self.port = 0

    @property
    def asked(self) -> list[str]:
        """The request lines."""
        return [head.partition("\r\n")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
            if head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                up_writer.write(head)
            await asyncio.gather(pipe(reader, up_writer), pipe(up_reader, writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def http_proxy(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpProxy]:
    proxy = HttpProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
