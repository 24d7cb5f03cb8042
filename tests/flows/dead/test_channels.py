"""A scan over several channels gives everything back in order, however slowly the broker closes each."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.flows.dead.conftest import DEAD_QUEUE
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.message import Message
from worker.core.topology import work_topology
from worker.flows.dead import queue_scan
from worker.flows.dead.queue_scan import open_scan

LONG = [f"m{number:05}" for number in range(240)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(queue_scan, "MAX_PREFETCH", 100)


class Sluggish:
    """A broker whose channels die some time after they were closed, the last ones first, as those of a busy RabbitMQ may."""

    def __init__(self, broker):
        self._broker = broker
        self.opened = 0
        self.ready_at_closing = []
        self.story = []

    @asynccontextmanager
    async def channel(self, **options):
        self.opened += 1
        dies_after = 0.3 / self.opened
        closing = self._broker.channel(**options)
        channel = await closing.__aenter__()
        try:
            yield Told(channel, self.story)
        finally:
            self.ready_at_closing.append(await self.queue_depth(DEAD_QUEUE.name))
            asyncio.get_running_loop().call_later(dies_after, lambda: asyncio.ensure_future(closing.__aexit__(None, None, None)))

    async def queue_depth(self, queue):
        await asyncio.sleep(0)
        return await self._broker.queue_depth(queue)


class Told:
    def __init__(self, channel, story):
        self._channel = channel
        self._story = story

    def __getattr__(self, name):
        return getattr(self._channel, name)

    async def cancel(self, tag):
        self._story.append("cancelled")
        await self._channel.cancel(tag)


class Watch(SystemClock):
    def __init__(self, story):
        self._story = story

    async def sleep(self, seconds):
        if seconds != queue_scan.ACK_SETTLE_TIME:
            await super().sleep(seconds)
            return
        self._story.append("waited")


@pytest.fixture
async def sluggish():
    server = MemoryServer()
    async with open_broker("memory://", name="operator", server=server) as broker:
        await broker.declare(work_topology("assets", [0.05]))
        for each in LONG:
            await broker.publish(Message(b"", message_id=each), routing_key=DEAD_QUEUE.name)
        yield Sluggish(broker)


async def test_each_channel_closes_after_the_one_before_has_given_back_its_messages(sluggish):
    async with open_scan(sluggish, SystemClock(), DEAD_QUEUE.name) as scan:
        assert [delivery.message.message_id async for delivery in scan.deliveries()] == LONG
    assert sluggish.ready_at_closing == [0, 100, 200]
    assert await sluggish.queue_depth(DEAD_QUEUE.name) == len(LONG)


async def test_no_consumer_is_cancelled_before_acks_have_taken_effect(sluggish):
    async with open_scan(sluggish, Watch(sluggish.story), DEAD_QUEUE.name) as scan:
        async for delivery in scan.deliveries():
            if delivery.message.message_id == LONG[110]:
                await scan.ack(delivery)
                sluggish.story.append("acked")
                break
    assert sluggish.story == ["cancelled", "acked", "waited", "cancelled"]
