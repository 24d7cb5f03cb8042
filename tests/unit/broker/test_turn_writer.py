"""Acknowledgements of one turn of the event loop go out in one piece; what could be lost or could hurt others takes aiormq's way."""

from __future__ import annotations

import asyncio
from socket import SHUT_WR, create_server
from types import SimpleNamespace

import pytest
from pamqp.commands import Basic
from pamqp.frame import marshal
from yarl import URL

from tests.tools.waiting import SOON
from worker.broker.rabbitmq.connection import Socket
from worker.broker.rabbitmq.turn_writer import TurnWriter
from worker.core.errors import ChannelLost


class Transport:
    """A socket on which bytes wait, or that has gone. `breaks`: the next write finds the other side gone."""

    def __init__(self, waiting: int = 0, *, closing: bool = False, breaks: bool = False) -> None:
        self.written: list[bytes] = []
        self._waiting = waiting
        self._closing = closing
        self._breaks = breaks

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def write(self, frames: bytes) -> None:
        self.written.append(frames)
        self._closing = self._breaks


def channel_of(number: int = 3, *, closed: bool = False, closed_by_broker: bool = False) -> SimpleNamespace:
    """A channel of aiormq."""
    return SimpleNamespace(is_closed=closed, _close_exception=ChannelLost("gone") if closed_by_broker else None, number=number)


def writer_to(transport: Transport) -> TurnWriter:
    socket = Socket()
    socket._writers.append(SimpleNamespace(transport=transport))
    return TurnWriter(socket.write_at_once)


async def test_the_acks_of_one_turn_are_one_write_of_whole_frames():
    transport = Transport()
    writer = writer_to(transport)
    assert await asyncio.gather(writer.write(Basic.Ack(7), channel_of(3)), writer.write(Basic.Ack(8), channel_of(4))) == [True, True]
    assert transport.written == [marshal(Basic.Ack(7), 3) + marshal(Basic.Ack(8), 4)]
    assert await writer.write(Basic.Ack(9), channel_of(3))
    assert transport.written[1:] == [marshal(Basic.Ack(9), 3)]


@pytest.mark.parametrize("transport", [Transport(waiting=1), Transport(closing=True)], ids=["bytes wait", "closing"])
async def test_nothing_is_written_to_a_socket_that_is_full_or_has_gone(transport: Transport):
    assert not await writer_to(transport).write(Basic.Ack(7), channel_of())
    assert transport.written == []


@pytest.mark.parametrize("how", ["closed", "closed_by_broker"])
async def test_nothing_is_written_on_a_channel_that_is_closed_or_that_the_broker_closes(how: str):
    transport = Transport()
    writer = writer_to(transport)
    assert await asyncio.gather(writer.write(Basic.Ack(7), channel_of(3, **{how: True})), writer.write(Basic.Ack(8), channel_of(4))) == [False, True]
    assert transport.written == [marshal(Basic.Ack(8), 4)]


async def test_a_channel_that_closes_within_the_turn_gets_nothing_written():
    transport, channel = Transport(), channel_of()
    writing = asyncio.create_task(writer_to(transport).write(Basic.Ack(7), channel))
    asyncio.get_running_loop().call_soon(setattr, channel, "is_closed", True)
    assert not await writing


async def test_a_write_that_finds_the_other_side_gone_does_not_count():
    assert not await writer_to(Transport(breaks=True)).write(Basic.Ack(7), channel_of())


async def test_an_error_of_the_socket_leaves_nobody_waiting():
    def broken(_: bytes) -> bool:
        raise RuntimeError("the end was written already")

    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    assert not await TurnWriter(broken).write(Basic.Ack(7), channel_of())
    assert len(errors) == 1


async def test_who_stops_waiting_for_his_ack_leaves_the_others_theirs():
    transport = Transport()
    writer = writer_to(transport)
    first, second = (asyncio.create_task(writer.write(Basic.Ack(tag), channel_of())) for tag in (7, 8))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert first.cancelled()


async def test_nothing_is_written_once_the_broker_has_closed_its_side_even_if_the_loop_has_not_read_that_yet():
    socket = Socket()
    with create_server(("127.0.0.1", 0)) as listening:
        await socket.create(URL(f"amqp://127.0.0.1:{listening.getsockname()[1]}"))
        broker, _ = listening.accept()
        assert socket.write_at_once(b"first")
        broker.send(b"the last frame")
        broker.shutdown(SHUT_WR)
        assert not socket.write_at_once(b"second")
        broker.settimeout(SOON)
        assert broker.recv(100) == b"first"
        broker.close()
    socket.abort()
    await asyncio.sleep(0)  # it closes in the next turn
