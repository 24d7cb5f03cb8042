"""Messages in flight: a redelivered copy takes over the earlier run, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest

from worker.core.outcome import Done, Outcome
from worker.flows.consuming.runner import MAX_ORPHANS, Execution, InFlight

KEY = ("erp.assets", "m1", b"hash")


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


async def run() -> Outcome:
    return Done("sent")


def held(in_flight: InFlight) -> list[Execution]:
    return [work for runs in in_flight._running.values() for work in runs]


async def test_the_redelivered_copy_takes_over_the_run_of_the_session_before(in_flight: InFlight):
    work = in_flight.start(KEY, 1)
    running = asyncio.create_task(work.run(run()))
    in_flight.unsettled(work, 1)
    assert in_flight.join_execution(KEY, 2) is work
    assert await work.outcome() == Done("sent")
    assert await running == Done("sent")
    in_flight.settled(work)
    assert held(in_flight) == []


async def test_a_copy_that_comes_before_the_old_channels_end_is_noticed_takes_over_too(in_flight: InFlight):
    work = in_flight.start(KEY, 1)
    assert in_flight.join_execution(KEY, 2) is work
    in_flight.unsettled(work, 1)
    assert len(in_flight._orphans) == 0
    in_flight.settled(work)


async def test_a_run_of_the_same_session_is_nobody_elses(in_flight: InFlight):
    in_flight.start(KEY, 1)
    assert in_flight.join_execution(KEY, 1) is None


async def test_another_message_takes_over_nothing(in_flight: InFlight):
    in_flight.unsettled(in_flight.start(KEY, 1), 1)
    assert in_flight.join_execution(("erp.assets", "m2", b"hash"), 2) is None


async def test_two_identical_messages_without_ids_both_run_and_each_copy_takes_over_one(in_flight: InFlight):
    first, second = in_flight.start(KEY, 1), in_flight.start(KEY, 1)
    in_flight.unsettled(first, 1)
    in_flight.unsettled(second, 1)
    taken = [in_flight.join_execution(KEY, 2), in_flight.join_execution(KEY, 2)]
    assert taken == [first, second]
    assert in_flight.join_execution(KEY, 2) is None
    for work in (second, first):
        in_flight.settled(work)
    assert held(in_flight) == []


async def test_a_run_may_be_taken_over_again_and_again(in_flight: InFlight):
    work = in_flight.start(KEY, 1)
    for session in range(1, 5):
        in_flight.unsettled(work, session)
        assert in_flight.join_execution(KEY, session + 1) is work


async def test_results_that_nobody_comes_for_are_dropped_oldest_first(in_flight: InFlight):
    works = [in_flight.start(("q", str(number), b""), 1) for number in range(MAX_ORPHANS + 5)]
    for work in works:
        in_flight.unsettled(work, 1)
    assert held(in_flight) == works[5:]
    assert in_flight.join_execution(works[0].key, 2) is None
    assert in_flight.join_execution(works[5].key, 2) is works[5]
