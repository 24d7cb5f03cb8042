"""A scan changes neither the content nor the order of a queue, whatever other clients do at the same time."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.dead.conftest import DEAD_QUEUE
from tests.tools.turns import counted_turns
from tests.tools.waiting import SOON, until
from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.flows.dead import queue_scan
from worker.flows.dead.queue_scan import open_scan

LONG = [f"m{number:05}" for number in range(72)]
"""More than two channels hold in these tests."""


@pytest.fixture(params=[30, 65_535], ids=["small windows", "one window"], autouse=True)
def largest(request, monkeypatch):
    monkeypatch.setattr(queue_scan, "MAX_PREFETCH", request.param)


async def scanned(broker, queue=DEAD_QUEUE.name):
    async with open_scan(broker, SystemClock(), queue) as scan:
        return [delivery.message.message_id async for delivery in scan.deliveries()]


async def test_repeated_scans_of_a_long_queue_yield_the_same_order(place):
    await place.bury(LONG)
    for _ in range(25):
        assert await scanned(place.broker) == LONG
        await place.full(len(LONG))
    assert await place.order() == LONG


async def test_the_loop_takes_turns_between_letters_that_have_arrived_already(place, monkeypatch):
    monkeypatch.setattr(queue_scan, "TURN_AFTER", queue_scan.EACH)
    await place.bury(LONG)

    async def many_arrived():
        return scan._channels[-1].arrived.qsize() > 20

    async with open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        deliveries = scan.deliveries()
        await anext(deliveries)
        await until(many_arrived)
        async with counted_turns() as turns:
            seen = [turns() for _ in range(20) if await anext(deliveries)]
    assert len(set(seen)) == len(seen)


async def test_an_empty_or_missing_queue_yields_nothing(place):
    assert await scanned(place.broker) == []
    assert await scanned(place.broker, "no.such.queue") == []


async def test_acked_messages_are_gone_and_the_others_go_back_in_order(place):
    await place.bury(LONG)
    taken = set(LONG[3:42:7]) | set(LONG[-5:])
    async with open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        async for delivery in scan.deliveries():
            if delivery.message.message_id in taken:
                await scan.ack(delivery)
    await place.full(len(LONG) - len(taken))
    assert await place.order() == [each for each in LONG if each not in taken]


async def test_a_scan_that_ends_early_gives_everything_back_in_order(place):
    await place.bury(LONG)
    async with open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        async for delivery in scan.deliveries():
            if delivery.message.message_id == LONG[33]:
                await scan.ack(delivery)
                break
    await place.full(len(LONG) - 1)
    assert await place.order() == LONG[:33] + LONG[34:]


async def test_letters_that_arrive_during_a_scan_are_not_yielded_and_stay_behind_the_others(place):
    await place.bury(LONG[:10])
    met = []
    async with open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        async for delivery in scan.deliveries():
            met.append(delivery.message.message_id)
            await place.bury([f"late-{len(met)}"])
    assert met == LONG[:10]
    await place.full(20)
    assert await place.order() == LONG[:10] + [f"late-{number}" for number in range(1, 11)]


async def test_a_scan_ends_when_other_consumers_hold_the_remaining_messages(place):
    await place.bury(LONG[:5])
    async with place.other.broker.channel() as channel, open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        held = await channel.get(DEAD_QUEUE.name)
        assert held is not None
        async with asyncio.timeout(SOON):
            met = [delivery.message.message_id async for delivery in scan.deliveries()]
    assert met == LONG[1:5]
    await place.full(5)


async def test_a_second_scan_yields_what_the_first_does_not_hold(place):
    await place.bury(LONG[:3])
    async with open_scan(place.broker, SystemClock(), DEAD_QUEUE.name) as scan:
        first = [delivery.message.message_id async for delivery in scan.deliveries()]
        async with place.attached() as another:
            assert await scanned(another) == []
    assert first == LONG[:3]


async def test_a_scan_that_loses_the_broker_raises_and_everything_goes_back(place):
    await place.bury(LONG)
    async with place.attached() as another:
        with pytest.raises(ChannelLost):
            await cut_off(place, another)
    await place.full(len(LONG))


async def cut_off(place, broker):
    async with open_scan(broker, SystemClock(), DEAD_QUEUE.name) as scan:
        async for delivery in scan.deliveries():
            if delivery.message.message_id == LONG[36]:
                await close(broker, place)
                await scan.ack(delivery)


async def close(broker, place):
    """Lose this attachment."""
    if place.server is not None:
        broker.lose("cut")
    else:
        await broker._consuming._connection.close()
