"""Following a stream on both brokers: every message once and in order, across lost channels and attachments, and again from the start in another stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.brokers.conftest import World
from tests.tools.silent_stream import Silent
from tests.tools.waiting import soon, until
from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import Topology, stream
from worker.state.stream_follower import Batch, StreamFollower, StreamPosition, open_stream

NAME = "numbers"
NUMBERS = Topology(queues=(stream(NAME, 10_000_000, 1_000_000),))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.stream_follower.RETRY", 0.05)
    monkeypatch.setattr("worker.state.stream_follower.SILENCE", 0.5)


class Reader:
    """What a handler was given since the last restart."""

    def __init__(self, position: StreamPosition | None = None) -> None:
        self.follower = StreamFollower(NAME, NUMBERS, SystemClock(), kept=60, position=position)
        self.read: list[int] = []
        self.restarts = 0
        self.interruptions: list[str] = []

    def handle(self, batch: Batch) -> None:
        if batch.restarted:
            self.restarts += 1
            self.read.clear()
        if batch.interrupted:
            self.interruptions.append(batch.interrupted)
        self.read += [int(delivery.message.body) for delivery in batch.deliveries]

    @asynccontextmanager
    async def following(self, broker: Broker) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.follower.follow(broker, self.handle))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def declared(world: World) -> AsyncIterator[Broker]:
    """RabbitMQ 3.10.8 closes the connection of some who declare a new stream twice at the same time, as a test and its follower would."""
    async with world.attach() as broker:
        await broker.declare(NUMBERS)
        yield broker


async def write(broker: Broker, numbers: range, run: str = "") -> None:
    for number in numbers:
        await broker.publish(Message(b"%d" % number, message_id=f"{run}{number}"), routing_key=NAME)


async def becomes(condition: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return condition()

    await until(asked)


async def test_a_follower_reads_what_was_written_before_and_after_it_began(world: World, broker: Broker):
    await broker.declare(NUMBERS)
    await write(broker, range(700))
    reader = Reader()
    async with reader.following(broker):
        await becomes(lambda: len(reader.read) == 700)
        await write(broker, range(700, 750))
        await becomes(lambda: len(reader.read) == 750)
    assert reader.read == list(range(750))
    assert (reader.restarts, reader.interruptions) == (1, [])


async def test_a_follower_of_an_empty_stream_reports_that_it_is_read(broker: Broker):
    reader = Reader()
    async with reader.following(broker):
        await becomes(lambda: reader.restarts == 1)
    assert reader.read == []


async def test_the_next_attachment_resumes_where_the_last_one_stopped(world: World):
    reader = Reader()
    for attachment in range(3):
        async with declared(world) as broker, reader.following(broker):
            await write(broker, range(10 * attachment, 10 * attachment + 10))
            await becomes(lambda wanted=10 * attachment + 10: len(reader.read) == wanted)  # type: ignore[misc]
    assert reader.read == list(range(30))
    assert reader.restarts == 1


async def test_following_ends_with_the_attachment_and_reports_the_interruption(world: World):
    async with world.attach() as broker:
        reader = Reader()
        async with reader.following(broker) as task:
            await becomes(lambda: reader.restarts == 1)
            world.cut()
            await soon(task)
        assert broker.lost
        assert len(reader.interruptions) == 1


async def test_a_deleted_stream_is_declared_and_read_again_from_its_start(world: World):
    """RabbitMQ 4 closes the connection of who speaks to a stream that is being deleted: the follower goes on with the next attachment."""
    reader = Reader()
    async with declared(world) as broker, reader.following(broker):
        await write(broker, range(10))
        await becomes(lambda: len(reader.read) == 10)
        world.delete_queue(NAME)
        await becomes(lambda: bool(reader.interruptions))
    async with declared(world) as broker, reader.following(broker):
        await write(broker, range(3), "second")
        await becomes(lambda: reader.restarts == 2 and len(reader.read) == 3)
    assert reader.read == [0, 1, 2]


@pytest.mark.parametrize("count", [4, 20], ids=["shorter", "longer"])
async def test_another_stream_of_the_same_name_is_not_mistaken_for_the_one_that_was_read(world: World, broker: Broker, count: int):
    await broker.declare(NUMBERS)
    await write(broker, range(count), "other")
    reader = Reader(StreamPosition(9, "9"))
    async with reader.following(broker):
        await becomes(lambda: len(reader.read) == count)
    assert reader.read == list(range(count))
    assert (reader.restarts, len(reader.interruptions)) == (1, 1)


async def test_the_message_at_the_position_is_not_handled_twice(broker: Broker):
    await broker.declare(NUMBERS)
    await write(broker, range(10))
    reader = Reader(StreamPosition(6, "6"))
    async with reader.following(broker):
        await becomes(lambda: len(reader.read) == 3)
    assert reader.read == [7, 8, 9]
    assert reader.follower.position == StreamPosition(9, "9")


async def test_a_stream_that_is_read_once_ends_with_a_silence(broker: Broker):
    await broker.declare(NUMBERS)
    await write(broker, range(30))
    read: list[int] = []
    async with open_stream(broker, NAME, 10, prefetch=4) as reader:
        while batch := await reader.batch(0.5):
            read += [int(delivery.message.body) for delivery in batch]
    assert read == list(range(10, 30))


async def test_a_channel_that_is_lost_is_no_end_of_the_stream(world: World):
    async with world.attach() as broker:
        await broker.declare(NUMBERS)
        async with open_stream(broker, NAME, "first") as reader:
            waiting = asyncio.ensure_future(reader.batch(30))
            await asyncio.sleep(0)
            world.cut()
            with pytest.raises(ChannelLost, match=NAME):
                await soon(waiting)


async def test_a_stream_that_keeps_our_message_back_is_read_again(broker: Broker):
    silent = Silent(broker)
    reader = Reader()
    async with reader.following(silent):
        await becomes(lambda: reader.restarts == 1)
        await reader.follower.publish(silent, Message(b"7", message_id="7"))
        await becomes(lambda: reader.read == [7])
    [interruption] = reader.interruptions
    assert "does not deliver what was stored in it" in interruption


async def test_a_node_that_keeps_our_messages_back_twice_in_a_row_is_left(world: World):
    reader = Reader()
    async with world.attach() as broker:
        silent = Silent(broker, 2)
        async with reader.following(silent) as task:
            for number in range(2):
                await becomes(lambda wanted=number + 1: reader.restarts == wanted)  # type: ignore[misc]
                await reader.follower.publish(silent, Message(b"%d" % number, message_id=str(number)))
            assert "does not deliver what was stored in it" in await soon(broker.wait_lost())
            await soon(task)
    async with world.attach() as broker, reader.following(broker):
        await becomes(lambda: reader.read == [0, 1])


async def test_a_stream_that_is_silent_because_nobody_writes_is_read_on(broker: Broker):
    reader = Reader()
    async with reader.following(broker):
        await becomes(lambda: reader.restarts == 1)
        await reader.follower.publish(broker, Message(b"1", message_id="1"))
        await becomes(lambda: reader.read == [1])
        await asyncio.sleep(1.5)  # three silences
        await reader.follower.publish(broker, Message(b"2", message_id="2"))
        await becomes(lambda: reader.read == [1, 2])
    assert (reader.restarts, reader.interruptions) == (1, [])
