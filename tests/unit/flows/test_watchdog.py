"""The watchdog of a consumer: it finds one that gets nothing, and asks seldom about a queue that stays empty."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import repeat
from typing import Any, cast

import pytest

from worker.core.ports import Broker, Clock
from worker.flows.consuming.watchdog import LEAST_OFTEN, LOOK_EVERY, stalled

HOUR = 3600.0


class Hour:
    """A clock that ends after an hour."""

    def __init__(self) -> None:
        self.at = 0.0

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        if self.at > HOUR:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


class Depths:
    """A broker whose queue has these depths, one after the other."""

    def __init__(self, clock: Hour, depths: Iterator[int]) -> None:
        self._clock = clock
        self._depths = depths
        self.asked: list[float] = []

    async def queue_depth(self, _: str) -> int:
        self.asked.append(self._clock.at)
        return next(self._depths)


async def watch(depths: Iterator[int], *, arrivals: Any = int, has_room: Any = lambda: True) -> tuple[str, list[float], int]:
    """What it ends with (empty after an hour), when it asked, and how often it said that all is well."""
    clock, well = Hour(), []
    broker = Depths(clock, depths)
    watching = asyncio.create_task(stalled(cast("Broker", broker), cast("Clock", clock), "q", arrivals, has_room, lambda: well.append(clock.at)))
    while not watching.done() and clock.at <= HOUR:  # noqa: ASYNC110 - the clock moves on at each turn of the loop
        await asyncio.sleep(0)
    watching.cancel()
    ended = (await asyncio.gather(watching, return_exceptions=True))[0]
    return ended if isinstance(ended, str) else "", broker.asked, len(well)


async def test_an_idle_queue_is_asked_about_at_most_once_a_minute_or_so():
    ended, asked, _ = await watch(repeat(0))
    assert ended == ""
    assert len(asked) <= HOUR / (LOOK_EVERY * LEAST_OFTEN * 0.9) + LEAST_OFTEN


async def test_messages_that_wait_while_none_comes_are_told_at_the_second_look():
    ended, asked, _ = await watch(repeat(3))
    assert ended == "3 messages ready in q, and the broker delivers none to this consumer"
    assert len(asked) == 2
    assert asked[1] <= 2 * LOOK_EVERY


async def test_a_queue_that_was_empty_for_long_is_looked_at_soon_again_once_a_message_waits():
    depths = iter([0] * 20 + [1, 1])
    ended, asked, _ = await watch(depths)
    assert ended == "1 message ready in q, and the broker delivers none to this consumer"
    assert asked[-1] - asked[-2] <= LOOK_EVERY


async def test_a_consumer_that_gets_messages_is_well_and_the_broker_is_not_asked():
    counts = iter(range(10**6))
    ended, asked, well = await watch(repeat(5), arrivals=lambda: next(counts))
    assert (ended, asked) == ("", [])
    assert well > 0


@pytest.mark.parametrize("depth", [0, 7])
async def test_a_consumer_without_room_is_left_alone(depth):
    ended, asked, well = await watch(repeat(depth), has_room=lambda: False)
    assert (ended, asked, well) == ("", [], 0)
