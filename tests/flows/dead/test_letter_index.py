"""The list of dead letters on the status page: bounded, shared, and without a trace in the queues."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.dead.conftest import DEAD_QUEUE
from worker.app.page import letter_index
from worker.app.page.attachment import PageBroker
from worker.app.page.cached_read import CachedRead
from worker.app.page.letter_index import LetterIndex, run_in
from worker.config.automation import Step
from worker.core.clock import SystemClock
from worker.core.errors import BrokerUnreachable
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.topology import letters_lock
from worker.flows.running import run_message
from worker.flows.running.elements import ElementList
from worker.flows.running.endings import waiting_caller
from worker.flows.running.iteration import Iteration
from worker.flows.running.run_message import Run

IDS = [f"m{number:03}" for number in range(60)]


class Scans:
    """Counts the scans that an index begins."""

    def __init__(self, monkeypatch):
        self.count = 0
        original = letter_index.open_scan

        def counted(*arguments, **options):
            self.count += 1
            return original(*arguments, **options)

        monkeypatch.setattr(letter_index, "open_scan", counted)


def new_index():
    return LetterIndex(SystemClock(), HeaderCodec(b"k" * 32))


async def test_it_lists_what_the_headers_say_and_leaves_the_letters_in_their_order(place):
    await place.bury(IDS, size=1000)
    letters = await new_index().read(place.broker, [DEAD_QUEUE])
    assert sorted(row.id for row in letters.rows) == IDS
    assert {(row.route, row.queue, row.dead_class, row.reason, row.at) for row in letters.rows} == {("erp", "assets.dead", "rejected", "no", 1772366400.0)}
    assert (letters.total, letters.notes) == (60, [])
    await place.full(len(IDS))
    assert await place.order() == IDS


async def test_a_queue_is_read_again_only_when_its_depth_has_changed_or_when_letters_were_settled(place, monkeypatch):
    scans, index = Scans(monkeypatch), new_index()
    await place.bury(IDS[:5])
    for _ in range(10):
        await index.read(place.broker, [DEAD_QUEUE])
        await place.full(5)
    assert scans.count == 1
    await place.bury(IDS[5:6])
    assert len((await index.read(place.broker, [DEAD_QUEUE])).rows) == 6
    await place.full(6)
    index.forget(DEAD_QUEUE.name)
    await index.read(place.broker, [DEAD_QUEUE])
    assert scans.count == 3


async def test_while_a_command_works_on_the_letters_the_list_stays_as_it_was_and_says_so(place):
    index = new_index()
    await place.bury(IDS[:3])
    await index.read(place.broker, [DEAD_QUEUE])
    await place.full(3)
    async with place.attached() as another, another.lock(letters_lock(DEAD_QUEUE.name)) as mine:
        assert mine
        await place.bury(IDS[3:5])
        letters = await index.read(place.broker, [DEAD_QUEUE])
        assert len(letters.rows) == 3
        assert letters.notes[0].startswith("another `dead` command works on the letters of erp")
    assert len((await index.read(place.broker, [DEAD_QUEUE])).rows) == 5


@pytest.mark.parametrize(("limit", "value"), [("MAX_LETTERS", 20), ("MAX_SCAN_BYTES", 20_000)])
async def test_a_long_queue_is_listed_up_to_a_limit_and_loses_nothing(place, monkeypatch, limit, value):
    monkeypatch.setattr(letter_index, limit, value)
    await place.bury(IDS, size=1000)
    letters = await new_index().read(place.broker, [DEAD_QUEUE])
    assert 20 <= len(letters.rows) <= 21
    assert {row.id for row in letters.rows} <= set(IDS[:21]), "the oldest"
    assert letters.total == 60
    assert "60 letters: the oldest" in letters.notes[0]
    await place.full(len(IDS))
    assert await place.order() == IDS


async def test_many_viewers_share_one_read_and_wait_for_it_only_a_moment():
    reads, go = 0, asyncio.Event()

    async def read():
        nonlocal reads
        reads += 1
        await go.wait()
        return "value"

    shared = CachedRead(read, SystemClock(), every=60.0, viewer_wait=0.01)
    seen = await asyncio.gather(*(shared.get() for _ in range(100)))
    assert (reads, {each.pending for each in seen}) == (1, {True})
    go.set()
    await shared.close()
    shared = CachedRead(read, SystemClock(), every=60.0, viewer_wait=60.0)
    assert {each.value for each in await asyncio.gather(*(shared.get() for _ in range(100)))} == {"value"}
    assert reads == 2
    await shared.refresh()
    assert reads == 3, "after an action the value is read again"


async def test_a_read_that_fails_keeps_the_last_value_and_says_why():
    answers = ["value", BrokerUnreachable("no route to host")]

    async def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shared = CachedRead(read, SystemClock(), every=60.0, viewer_wait=60.0)
    first = await shared.get()
    await shared.refresh()
    second = await shared.get()
    assert (second.value, second.at, second.trouble) == ("value", first.at, "no route to host")


async def test_a_broker_that_cannot_be_reached_is_told_at_once_and_tried_again_with_the_next_question(place):
    attempts = []

    def attach():
        attempts.append(1)
        if len(attempts) == 1:
            raise BrokerUnreachable("refused")
        return place.attached()

    page_broker = PageBroker(attach, SystemClock())
    serving = asyncio.create_task(page_broker.serve())
    with pytest.raises(BrokerUnreachable, match="refused"):
        await page_broker.broker()
    broker = await page_broker.broker()
    assert broker is await page_broker.broker(), "one attachment for all questions"
    assert len(page_broker.key) == 32
    serving.cancel()
    await asyncio.wait([serving])


async def test_what_the_letter_of_a_run_carries_packed_is_not_unpacked_for_the_list(monkeypatch):
    def unpacked(text):
        raise AssertionError(text[:20])

    run = Run("r1", "rb", step="book", callers=(waiting_caller(Run("r1", "rb", step="each", each=Iteration(ElementList.of([1, 2]))), Step("each")),))
    monkeypatch.setattr(run_message, "decompress", unpacked)
    assert run_in(run.message()) == ("r1", "book")
    assert run_in(Message(b"[]")) == run_in(Message(b"x")) == run_in(Message(b'{"id":7}')) == ("", "")
