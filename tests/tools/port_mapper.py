"""An Erlang port mapper (epmd) of our own for each node of a cluster: it sends a node to its peers through proxies, so that their network can be cut."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Mapping
from contextlib import suppress

REGISTER, LOOK_UP, NAMES = 120, 122, 110  # requests of the protocol, by their first byte
REGISTERED, FOUND = 118, 119
VERSIONS = struct.pack(">HH", 6, 5)
VISIBLE_NODE, TCP = 77, 0


class PortMapper:
    """Serves one node. `port`: its own, which it has to name; `alive`: the nodes that are registered at any mapper, with their ports.

    `ports`: where this node reaches its peers instead.
    """

    def __init__(self, port: int, alive: dict[str, int], ports: Mapping[str, int]) -> None:
        self._port = port
        self._alive = alive
        self._ports = ports
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a question, or a registration, which lasts as long as the connection."""
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                request = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                if request[0] == REGISTER:
                    await self._register(request, reader, writer)
                else:
                    writer.write(self._answer(request))
                    await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()

    def close(self) -> None:
        """Ends all connections, and registrations with them."""
        for writer in self._open:
            writer.close()

    async def _register(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port, name = int.from_bytes(request[1:3]), text_at(request, 9)
        self._alive[name] = port
        writer.write(struct.pack(">BBI", REGISTERED, 0, random.randrange(4, 2**31)))  # another number for each life of a node
        try:
            await reader.read()
        finally:
            if self._alive.get(name) == port:
                del self._alive[name]

    def _answer(self, request: bytes) -> bytes:
        if request[0] == NAMES:
            return struct.pack(">I", self._port) + "".join(f"name {name} at port {port}\n" for name, port in self._alive.items()).encode()
        name = request[1:].decode()
        if request[0] != LOOK_UP or name not in self._alive:
            return bytes((FOUND, 1))
        port = self._ports.get(name, self._alive[name])
        return struct.pack(">BBHBB", FOUND, 0, port, VISIBLE_NODE, TCP) + VERSIONS + struct.pack(">H", len(name)) + name.encode() + b"\0\0"


def text_at(request: bytes, place: int) -> str:
    length = int.from_bytes(request[place : place + 2])
    return request[place + 2 : place + 2 + length].decode()
