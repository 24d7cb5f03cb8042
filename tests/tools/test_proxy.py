"""The fault proxy does to connections what its members say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.tools.proxy import Proxy, through_proxy
from tests.tools.waiting import soon, until


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, bytearray]]:
    """A server that writes down what it gets."""
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1000):
                got.extend(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", got


async def connected(url: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    return writer


async def holds(got: bytearray, expected: bytes) -> bool:
    return bytes(got) == expected


async def sent_into_a_hole(proxy: Proxy, url: str) -> None:
    """Something is sent while the proxy holds, and its sender is gone before it lets go."""
    proxy.hold()
    writer = await connected(url)
    writer.write(b"late")
    await soon(writer.drain())
    await asyncio.sleep(0.1)  # for the data to be taken, and then for the reset to be seen: nobody tells
    writer.transport.abort()
    await asyncio.sleep(0.1)
    proxy.release()
    await until(lambda: gone(proxy))


async def gone(proxy: Proxy) -> bool:
    return not proxy._tasks


async def test_what_was_held_arrives_late_or_is_forgotten_with_its_sender():
    async with listening() as (target, got), through_proxy(target) as (url, proxy):
        proxy.forgets = True
        await sent_into_a_hole(proxy, url)
        proxy.forgets = False
        await sent_into_a_hole(proxy, url)
        await until(lambda: holds(got, b"late"))
        writer = await connected(url)
        writer.write(b" now")
        await until(lambda: holds(got, b"late now"))
        writer.close()


async def test_what_is_held_from_a_sender_that_is_still_there_arrives():
    async with listening() as (target, got), through_proxy(target) as (url, proxy):
        proxy.forgets = True
        proxy.hold()
        writer = await connected(url)
        writer.write(b"patient")
        await soon(writer.drain())
        await asyncio.sleep(0.05)
        assert got == b""
        proxy.release()
        await until(lambda: holds(got, b"patient"))
        writer.close()


async def test_a_watch_sees_every_piece_and_may_let_it_vanish():
    seen: list[tuple[bytes, bool]] = []

    def watch(data: bytes, up: bool) -> bool:
        seen.append((data, up))
        return data != b"no"

    async with listening() as (target, got), through_proxy(target) as (url, proxy):
        proxy.watch = watch
        writer = await connected(url)
        for piece in (b"yes", b"no", b"also"):
            writer.write(piece)
            await until(lambda piece=piece: seen_last(seen, piece))
        await until(lambda: holds(got, b"yesalso"))
        writer.close()
    assert seen == [(b"yes", True), (b"no", True), (b"also", True)]


async def seen_last(seen: list[tuple[bytes, bool]], piece: bytes) -> bool:
    return bool(seen) and seen[-1][0] == piece
