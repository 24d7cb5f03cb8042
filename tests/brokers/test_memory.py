"""What is the embedded broker's own: several attachments to one server, and what tests do to it."""

from __future__ import annotations

import asyncio

import pytest

from tests.brokers.conftest import take
from tests.brokers.test_deliveries import Inbox
from tests.tools.waiting import soon
from worker.broker.memory import MemoryServer, attach
from worker.broker.open import open_broker
from worker.core.errors import BrokerError, BrokerUnreachable
from worker.core.message import Message
from worker.core.topology import Topology, browsed, handing_on, stream


async def test_what_one_attachment_publishes_another_takes_also_after_it_left():
    server = MemoryServer()
    async with attach(server, "first") as first:
        await first.declare(Topology(queues=(browsed("q"),)))
        await first.publish(Message(b"1"), routing_key="q")
    async with attach(server, "second") as second:
        assert (await take(second, "q")).message.body == b"1"


async def test_two_servers_know_nothing_of_each_other():
    async with attach(MemoryServer(), "first") as first, attach(MemoryServer(), "second") as second:
        await first.declare(Topology(queues=(browsed("q"),)))
        assert not await second.queue_exists("q")


async def test_a_memory_address_needs_its_server():
    with pytest.raises(BrokerUnreachable, match="memory:// exists within one process"):
        async with open_broker("memory://", name="x"):
            pass


async def test_a_dead_letter_waits_for_a_target_that_is_missing_or_full():
    server = MemoryServer()
    async with attach(server, "x") as broker:
        await broker.declare(Topology(queues=(handing_on("work", "dead", 0),)))
        for body in (b"1", b"2"):
            await broker.publish(Message(body, expiration=0), routing_key="work")
        await broker.declare(Topology(queues=(browsed("dead", **{"x-max-length": 1, "x-overflow": "reject-publish"}),)))
        assert {(await take(broker, "dead")).message.body for _ in range(2)} == {b"1", b"2"}


async def test_a_delivery_that_is_acked_twice_closes_its_channel():
    async with attach(MemoryServer(), "x") as broker:
        await broker.declare(Topology(queues=(browsed("q"),)))
        await broker.publish(Message(b"1"), routing_key="q")
        async with broker.channel() as channel:
            delivery = await channel.get("q")
            assert delivery is not None
            await delivery.ack()
            await delivery.ack()
            assert "twice" in await soon(channel.wait_closed())
            with pytest.raises(BrokerError):
                await channel.get("q")


async def test_a_stream_keeps_its_newest_bytes_and_numbers_on():
    async with attach(MemoryServer(), "x") as broker:
        await broker.declare(Topology(queues=(stream("log", max_bytes=100, segment_bytes=10),)))
        for number in range(30):
            await broker.publish(Message(b"%010d" % number), routing_key="log")
        async with broker.channel(prefetch=50) as channel:
            inbox = Inbox()
            await channel.consume("log", inbox, arguments={"x-stream-offset": "first"})
            await inbox.has(10)
        assert [delivery.offset for delivery in inbox.deliveries] == list(range(20, 30))


async def test_a_callback_is_never_called_from_within_a_publish():
    async with attach(MemoryServer(), "x") as broker:
        await broker.declare(Topology(queues=(browsed("q"),)))
        async with broker.channel(prefetch=1) as channel:
            inside, inbox = [], Inbox()
            publishing = False
            await channel.consume("q", lambda delivery: (inside.append(publishing), inbox(delivery)))

            async def publish() -> None:
                nonlocal publishing
                publishing = True
                await broker.publish(Message(b"1"), routing_key="q")
                publishing = False

            await asyncio.create_task(publish())
            await inbox.has(1)
            assert inside == [False]


async def test_a_deep_queue_is_given_back_quickly():
    """Twenty thousand messages with a hundred channels that come and go: no step may walk the whole queue for each."""
    async with attach(MemoryServer(), "x") as broker:
        await broker.declare(Topology(queues=(browsed("q"),)))
        async with broker.channel() as channel:
            for _ in range(20_000):
                await channel.publish(Message(b"1"), routing_key="q")
        async with asyncio.timeout(20):
            for _ in range(100):
                async with broker.channel() as channel:
                    await channel.get("q")
        assert await broker.queue_depth("q") == 20_000
