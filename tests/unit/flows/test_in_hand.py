"""Messages in hand: a redelivered copy takes over the earlier run, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from worker.core.outcome import Done, Outcome
from worker.flows.consuming.in_flight import KEPT, Execution, InFlight

KEY = ("erp.assets", "m1", b"hash")


@pytest.fixture
async def in_hand() -> AsyncIterator[InFlight]:
    async with asyncio.TaskGroup() as tasks:
        yield InFlight(tasks)


async def run(detail: str = "sent") -> Outcome:
    return Done(detail)


def held(in_hand: InFlight) -> list[Execution]:
    return [work for runs in in_hand._running.values() for work in runs]


async def test_the_redelivered_copy_takes_over_the_run_of_the_session_before(in_hand: InFlight):
    work = in_hand.start(KEY, 1, run())
    in_hand.unsettled(work, 1)
    assert in_hand.adopt(KEY, 2) is work
    assert await work.task == Done("sent")
    in_hand.settled(work)
    assert held(in_hand) == []


async def test_a_copy_that_comes_before_the_old_channels_end_is_noticed_takes_over_too(in_hand: InFlight):
    work = in_hand.start(KEY, 1, run())
    assert in_hand.adopt(KEY, 2) is work
    in_hand.unsettled(work, 1)
    assert len(in_hand._orphans) == 0
    in_hand.settled(work)


async def test_a_run_of_the_same_session_is_nobody_elses(in_hand: InFlight):
    in_hand.start(KEY, 1, run())
    assert in_hand.adopt(KEY, 1) is None


async def test_another_message_takes_over_nothing(in_hand: InFlight):
    in_hand.unsettled(in_hand.start(KEY, 1, run()), 1)
    assert in_hand.adopt(("erp.assets", "m2", b"hash"), 2) is None


async def test_two_identical_messages_without_ids_both_run_and_each_copy_takes_over_one(in_hand: InFlight):
    first, second = in_hand.start(KEY, 1, run("first")), in_hand.start(KEY, 1, run("second"))
    in_hand.unsettled(first, 1)
    in_hand.unsettled(second, 1)
    taken = [in_hand.adopt(KEY, 2), in_hand.adopt(KEY, 2)]
    assert taken == [first, second]
    assert in_hand.adopt(KEY, 2) is None
    for work in (second, first):
        in_hand.settled(work)
    assert held(in_hand) == []


async def test_a_run_may_be_taken_over_again_and_again(in_hand: InFlight):
    work = in_hand.start(KEY, 1, run())
    for session in range(1, 5):
        in_hand.unsettled(work, session)
        assert in_hand.adopt(KEY, session + 1) is work


async def test_results_that_nobody_comes_for_are_dropped_oldest_first(in_hand: InFlight):
    works = [in_hand.start(("q", str(number), b""), 1, run()) for number in range(KEPT + 5)]
    for work in works:
        in_hand.unsettled(work, 1)
    assert held(in_hand) == works[5:]
    assert in_hand.adopt(works[0].key, 2) is None
    assert in_hand.adopt(works[5].key, 2) is works[5]
