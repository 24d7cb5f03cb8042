"""Looking through a queue changes nothing in it: neither what is there nor its order, whatever others do meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.dead.conftest import BOX
from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.flows.dead import queue_scan
from worker.flows.dead.queue_scan import open_scan

LONG = [f"m{number:05}" for number in range(72)]
"""More than two channels hold in these tests."""


@pytest.fixture(params=[30, 65_535], ids=["small windows", "one window"], autouse=True)
def largest(request, monkeypatch):
    monkeypatch.setattr(queue_scan, "MAX_PREFETCH", request.param)


async def walked(broker, queue=BOX.name):
    async with open_scan(broker, SystemClock(), queue) as walk:
        return [delivery.message.message_id async for delivery in walk.deliveries()]


async def test_a_long_queue_is_met_in_its_order_and_looks_the_same_however_often(place):
    await place.bury(LONG)
    for _ in range(25):
        assert await walked(place.broker) == LONG
        await place.full(len(LONG))
    assert await place.order() == LONG


async def test_a_queue_that_is_empty_or_not_there_holds_nothing(place):
    assert await walked(place.broker) == []
    assert await walked(place.broker, "no.such.queue") == []


async def test_what_is_taken_off_is_gone_and_the_others_go_back_in_their_order(place):
    await place.bury(LONG)
    taken = set(LONG[3:42:7]) | set(LONG[-5:])
    async with open_scan(place.broker, SystemClock(), BOX.name) as walk:
        async for delivery in walk.deliveries():
            if delivery.message.message_id in taken:
                await walk.ack(delivery)
    await place.full(len(LONG) - len(taken))
    assert await place.order() == [each for each in LONG if each not in taken]


async def test_a_walk_that_is_left_early_gives_everything_back_in_its_order(place):
    await place.bury(LONG)
    async with open_scan(place.broker, SystemClock(), BOX.name) as walk:
        async for delivery in walk.deliveries():
            if delivery.message.message_id == LONG[33]:
                await walk.ack(delivery)
                break
    await place.full(len(LONG) - 1)
    assert await place.order() == LONG[:33] + LONG[34:]


async def test_what_is_buried_during_a_walk_is_not_met_and_stays_behind_the_others(place):
    await place.bury(LONG[:10])
    met = []
    async with open_scan(place.broker, SystemClock(), BOX.name) as walk:
        async for delivery in walk.deliveries():
            met.append(delivery.message.message_id)
            await place.bury([f"late-{len(met)}"])
    assert met == LONG[:10]
    await place.full(20)
    assert await place.order() == LONG[:10] + [f"late-{number}" for number in range(1, 11)]


async def test_a_walk_ends_when_others_have_taken_what_it_was_to_meet(place):
    await place.bury(LONG[:5])
    async with place.other.broker.channel() as channel, open_scan(place.broker, SystemClock(), BOX.name) as walk:
        held = await channel.get(BOX.name)
        assert held is not None
        async with asyncio.timeout(10):
            met = [delivery.message.message_id async for delivery in walk.deliveries()]
    assert met == LONG[1:5]
    await place.full(5)


async def test_a_second_walk_meets_what_the_first_does_not_hold(place):
    await place.bury(LONG[:3])
    async with open_scan(place.broker, SystemClock(), BOX.name) as walk:
        first = [delivery.message.message_id async for delivery in walk.deliveries()]
        async with place.attached() as another:
            assert await walked(another) == []
    assert first == LONG[:3]


async def test_a_walk_over_a_lost_broker_says_so_and_everything_is_back(place):
    await place.bury(LONG)
    async with place.attached() as another:
        with pytest.raises(ChannelLost):
            await cut_off(place, another)
    await place.full(len(LONG))


async def cut_off(place, broker):
    async with open_scan(broker, SystemClock(), BOX.name) as walk:
        async for delivery in walk.deliveries():
            if delivery.message.message_id == LONG[36]:
                await close(broker, place)
                await walk.ack(delivery)


async def close(broker, place):
    """Lose this attachment."""
    if place.server is not None:
        broker.lose("cut")
    else:
        await broker._consuming._connection.close()
