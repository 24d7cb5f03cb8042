"""Selected letters are settled one by one, in order; an interruption loses none."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.flows.dead.conftest import DEAD_QUEUE
from tests.tools.headers import CODEC
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError, QueueMissing
from worker.flows.dead import operations
from worker.flows.dead.letter import DeadQueue
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.flows.dead.operations import SettlementInterrupted, exclusive_access, locked, scan_letters, settle_letters
from worker.flows.dead.plan import Replay, Retain
from worker.flows.dead.replay import Removed, ReplayToQueue, discard

IDS = [f"m{number}" for number in range(8)]


def nothing(_):
    pass


async def selected(place, *ids):
    selector = LetterSelector(Selection(tuple(ids)), 0.0, CODEC)
    await scan_letters(place.broker, SystemClock(), [DEAD_QUEUE], selector, nothing)
    return selector


def to_its_queue(place, broker=None):
    return ReplayToQueue(DEAD_QUEUE, "assets", lambda *_: Replay(), broker or place.broker, CODEC)


async def settle_selected(place, selector, settle_one, stop=None, broker=None):
    return await settle_letters(broker or place.broker, SystemClock(), CODEC, selector.fingerprints, {DEAD_QUEUE: settle_one}, stop or asyncio.Event(), nothing)


async def taken(place):
    return [letter.message.message_id for letter in await place.other.drain("assets")]


async def test_selected_letters_are_replayed_in_order_and_the_others_stay_in_order(place):
    await place.bury(IDS)
    tally = await settle_selected(place, await selected(place, "m6", "m1", "m3"), to_its_queue(place))
    assert (tally.removed, tally.kept, tally.missing) == ({"replayed": 3}, {}, 0)
    assert await taken(place) == ["m1", "m3", "m6"]
    await place.full(5)
    assert await place.order() == ["m0", "m2", "m4", "m5", "m7"]


async def test_letters_that_come_back_at_once_are_not_replayed_again(place):
    await place.bury(IDS)
    selector = await selected(place)

    async def comes_back(letter, message):
        await place.bury([letter.id])  # the same content under the same id: it has the fingerprint of the selected one
        return Removed("replayed")

    tally = await settle_selected(place, selector, comes_back)
    assert tally.removed == {"replayed": 8}
    await place.full(8)


async def test_retained_letters_stay_in_their_places(place):
    await place.bury(IDS[:4])

    async def settle_one(letter, message):
        return Retain("why") if letter.id in {"m1", "m2"} else Removed("replayed")

    tally = await settle_selected(place, await selected(place), settle_one)
    assert (tally.removed, tally.kept) == ({"replayed": 2}, {Retain("why"): 2})
    await place.full(2)
    assert await place.order() == ["m1", "m2"]


async def test_letters_that_left_the_queue_since_the_selection_count_as_missing(place):
    await place.bury(IDS[:4])
    selector = await selected(place)
    await place.full(4)
    await place.other.take(DEAD_QUEUE.name)
    tally = await settle_selected(place, selector, discard)
    assert (tally.removed, tally.missing) == ({"discarded": 3}, 1)


async def test_a_stop_takes_effect_after_the_current_letter(place):
    await place.bury(IDS)
    stop = asyncio.Event()

    async def settle_one(letter, message):
        if letter.id == "m2":
            stop.set()
        return Removed("discarded")

    tally = await settle_selected(place, await selected(place), settle_one, stop)
    assert (tally.removed, tally.stopped, tally.missing) == ({"discarded": 3}, True, 0)
    await place.full(5)
    assert await place.order() == IDS[3:]


async def test_a_missing_home_queue_is_an_error_and_loses_nothing(place):
    await place.bury(IDS)
    selector = await selected(place)
    with pytest.raises(SettlementInterrupted, match="no queue 'nowhere'") as cut:
        await settle_selected(place, selector, ReplayToQueue(DEAD_QUEUE, "nowhere", lambda *_: Replay(), place.broker, CODEC))
    assert cut.value.tally.removed == Counter()
    assert isinstance(cut.value.__cause__, QueueMissing)
    await place.full(8)
    assert await place.order() == IDS


async def test_a_broker_lost_in_the_middle_leaves_every_letter_in_one_queue_or_in_both(place):
    await place.bury(IDS)
    selector = await selected(place)
    await place.full(8)
    async with place.attached() as another:
        replay = to_its_queue(place, another)

        async def settle_one(letter, message):
            if letter.id == "m5":
                raise BrokerError("the broker was lost")
            return await replay(letter, message)

        with pytest.raises(SettlementInterrupted) as cut:
            await settle_selected(place, selector, settle_one, broker=another)
    assert cut.value.tally.removed == {"replayed": 5}
    await place.full(3)
    assert (await taken(place), await place.order()) == (IDS[:5], IDS[5:])


async def test_a_second_command_on_the_same_letters_gets_no_exclusive_access(place, monkeypatch):
    monkeypatch.setattr(operations, "LOCK_WAIT", 0.3)
    async with place.attached() as another, exclusive_access(place.broker, SystemClock(), [DEAD_QUEUE]) as first:
        assert first
        async with exclusive_access(another, SystemClock(), [DEAD_QUEUE]) as second:
            assert not second


async def test_a_command_waits_for_the_lock_of_another_one(place):
    async with place.attached() as another:
        held = exclusive_access(place.broker, SystemClock(), [DEAD_QUEUE])
        assert await held.__aenter__()

        async def second():
            async with exclusive_access(another, SystemClock(), [DEAD_QUEUE]) as had:
                return had

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        await held.__aexit__(None, None, None)
        assert await waiting


async def test_work_on_a_runbook_and_work_on_one_of_its_dead_queues_exclude_each_other(place):
    """Commands take the name of a route or of a dead queue."""
    steps, starts = DeadQueue("rb", "steps", "halo.run.rb.dead", "halo.run.rb"), DeadQueue("rb", "starts", "go.dead", "go")
    async with place.attached() as another:
        for mine, theirs in (([steps, starts], [starts]), ([starts], [steps, starts]), ([steps], [steps, starts]), ([steps, starts], [steps, starts])):
            async with locked(another, mine) as first, locked(place.broker, theirs) as second:
                assert (first, second) == (True, False)
        async with locked(another, [steps]) as first, locked(place.broker, [starts]) as second:
            assert (first, second) == (True, True)
        async with locked(another, [steps, starts]) as mine:
            assert mine, "what was locked in part was released"
