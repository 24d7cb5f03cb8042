"""Streams: logs that are read from any offset, on both brokers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.brokers.test_deliveries import Inbox
from tests.tools.waiting import soon
from worker.core.errors import BrokerError
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import Topology, stream

LOG = stream("log", max_bytes=10_000_000, segment_bytes=1_000_000)


@pytest.fixture
async def log(broker: Broker) -> Broker:
    await broker.declare(Topology(queues=(LOG,)))
    return broker


async def append(broker: Broker, start: int, end: int) -> None:
    for number in range(start, end):
        await broker.publish(Message(b"%d" % number, {"n": number}), routing_key="log")


async def read(broker: Broker, offset: Any, number: int) -> list[tuple[int | None, bytes]]:
    """The first `number` entries from an offset, acknowledged as they come."""
    async with broker.channel(prefetch=5) as channel:
        came: asyncio.Queue[Any] = asyncio.Queue()
        await channel.consume("log", came.put_nowait, arguments={"x-stream-offset": offset})
        found = []
        while len(found) < number:
            delivery = await soon(came.get())
            found.append((delivery.offset, delivery.message.body))
            await delivery.ack()
        return found


async def test_a_stream_is_read_from_its_beginning_in_order_by_everybody(log: Broker):
    await append(log, 0, 20)
    expected = [(number, b"%d" % number) for number in range(20)]
    assert await read(log, "first", 20) == expected
    assert await read(log, "first", 20) == expected


async def test_a_stream_is_read_from_a_given_offset(log: Broker):
    await append(log, 0, 20)
    assert await read(log, 13, 7) == [(number, b"%d" % number) for number in range(13, 20)]


async def test_reading_next_gets_only_what_comes_afterwards(log: Broker):
    await append(log, 0, 3)
    async with log.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("log", inbox, arguments={"x-stream-offset": "next"})
        await append(log, 3, 5)
        await inbox.has(2)
    assert [delivery.offset for delivery in inbox.deliveries] == [3, 4]


async def test_reading_last_gets_at_least_the_newest(log: Broker):
    await append(log, 0, 5)
    async with log.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("log", inbox, arguments={"x-stream-offset": "last"})
        await inbox.has(1)
        while inbox.deliveries[-1].offset != 4:  # RabbitMQ begins with the last chunk, which may hold more than one
            await inbox.deliveries[-1].ack()
            await inbox.has(len(inbox.deliveries) + 1)
    assert inbox.bodies[-1] == b"4"


async def test_a_reader_has_no_more_in_hand_than_its_prefetch(log: Broker):
    await append(log, 0, 10)
    async with log.channel(prefetch=3) as channel:
        inbox = Inbox()
        await channel.consume("log", inbox, arguments={"x-stream-offset": "first"})
        await inbox.has(3)
        await append(log, 10, 11)
        assert len(inbox.deliveries) == 3
        for delivery in list(inbox.deliveries):
            await delivery.ack()
        await inbox.has(6)
    assert [delivery.offset for delivery in inbox.deliveries][:6] == [0, 1, 2, 3, 4, 5]


async def test_an_entry_of_a_stream_keeps_headers_and_says_no_redelivery(log: Broker):
    await append(log, 0, 1)
    async with log.channel(prefetch=1) as channel:
        inbox = Inbox()
        await channel.consume("log", inbox, arguments={"x-stream-offset": "first"})
        await inbox.has(1)
    [delivery] = inbox.deliveries
    assert (delivery.message.headers["n"], delivery.redelivered, delivery.queue, delivery.routing_key) == (0, False, "log", "log")


async def test_a_stream_cannot_be_consumed_without_prefetch(log: Broker):
    async with log.channel() as channel:
        with pytest.raises(BrokerError):
            await channel.consume("log", Inbox(), arguments={"x-stream-offset": "first"})
    await append(log, 0, 1)


async def test_the_first_offset_for_a_key_is_the_same_for_all_readers(log: Broker):
    """What claims stand on: everybody sees one order."""
    await asyncio.gather(*[log.publish(Message(b"%d" % number), routing_key="log") for number in range(50)])
    first, second = await asyncio.gather(read(log, "first", 50), read(log, "first", 50))
    assert first == second
    assert sorted(int(body) for _, body in first) == list(range(50))
    assert [offset for offset, _ in first] == list(range(50))
