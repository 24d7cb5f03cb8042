"""Poll after poll: stamps, clocks, vanished records, and what an incomplete scan may not do."""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.tools.evaluating import InProcess
from tests.unit.changes.polling import Clock, Polling, tickets
from tests.unit.changes.simulated import Manners, SimulatedHalo
from tests.unit.changes.test_scan import halo_of
from worker.changes.position import Position
from worker.flows.polling.plan import plan_scan
from worker.flows.polling.poll import Poller
from worker.flows.polling.turn import Turn
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex


async def test_250_rows_with_one_stamp_are_all_reported_once():
    halo = SimulatedHalo(Manners(cap=100))
    for _ in range(250):
        halo.insert()
    stamp = halo.now
    halo.rows = {key: replace(row, stamp=stamp, born=stamp) for key, row in halo.rows.items()}
    polling = Polling(halo, tickets())
    for _ in range(3):
        assert await polling.poll() == "complete"
        halo.wait(60)
    assert sorted(change.key for change in polling.emitted.changes) == sorted(str(key) for key in halo.rows)


@pytest.mark.parametrize("skew", [timedelta(minutes=10), -timedelta(minutes=10)], ids=["ahead", "behind"])
async def test_a_database_clock_ten_minutes_off_the_date_header_hides_no_change(skew: timedelta):
    halo = SimulatedHalo(Manners(cap=5, skew=skew))
    polling = Polling(halo, tickets())
    for _ in range(6):
        for _ in range(4):
            halo.insert()
        assert await polling.poll() == "complete"
        assert polling.untold() == {}
        halo.wait(60)
    for key in list(halo.rows):
        halo.update(key)
    await polling.poll()
    assert polling.untold() == {}


async def test_a_row_updated_during_a_scan_longer_than_the_overlap_is_found_even_when_the_database_clock_is_behind():
    halo = SimulatedHalo(Manners(cap=5, skew=-timedelta(minutes=30)))
    for _ in range(47):
        halo.insert()
    polling = Polling(halo, tickets(overlap=300.0))

    def slow(it: SimulatedHalo) -> None:
        if it.reads == 2:
            it.update(46)  # its page, the last, was read just now
        it.wait(120)
        it.update(1)

    halo.churn = slow
    await polling.poll()
    halo.churn = lambda _: None
    await polling.poll()
    assert polling.untold() == {}


async def test_an_incomplete_scan_leaves_the_cursor_where_it_was_and_reports_no_deletion():
    halo = halo_of(12, cap=5)
    polling = Polling(halo, tickets(changes="by_content", deletes=True))
    await polling.poll()
    polling.news()
    gone = min(halo.rows)
    halo.delete(gone)
    halo.manners = replace(halo.manners, count=4)
    for _ in range(4):
        assert await polling.poll() == "incomplete"
    assert polling.news() == []
    assert polling.baton.cursor is None


async def test_a_vanished_record_is_reported_once_after_two_complete_scans():
    halo = halo_of(12, cap=5)
    polling = Polling(halo, tickets(changes="by_content", deletes=True))
    await polling.poll()
    polling.news()
    gone = min(halo.rows)
    halo.delete(gone)
    news = []
    for _ in range(4):
        assert await polling.poll() == "complete"
        news.append(polling.news())
    assert news == [[], [("deleted", str(gone))], [], []]


async def test_a_record_that_was_missing_once_and_came_back_is_not_reported():
    halo = halo_of(12, cap=5)
    polling = Polling(halo, tickets(changes="by_content", deletes=True))
    await polling.poll()
    polling.news()
    hidden = halo.rows.pop(min(halo.rows))
    await polling.poll()
    halo.rows[hidden.id] = hidden
    await polling.poll()
    del halo.rows[hidden.id]
    await polling.poll()
    halo.rows[hidden.id] = hidden
    await polling.poll()
    assert polling.news() == []


async def test_an_incomplete_scan_between_two_complete_ones_counts_for_nothing():
    halo = halo_of(12, cap=5)
    polling = Polling(halo, tickets(changes="by_content", deletes=True))
    await polling.poll()
    polling.news()
    halo.delete(min(halo.rows))
    await polling.poll()
    halo.manners = replace(halo.manners, count=4)
    await polling.poll()
    assert polling.news() == []
    halo.manners = replace(halo.manners, count=0)
    await polling.poll()
    assert [kind for kind, _ in polling.news()] == ["deleted"]


async def test_a_subscriber_by_date_finds_deletions_at_the_pace_of_its_full_scans():
    halo = halo_of(12, cap=5)
    polling = Polling(halo, tickets(deletes=True))
    await polling.poll()
    polling.news()
    halo.delete(min(halo.rows))
    reads, deleted = [], []
    for _ in range(30):
        before = halo.reads
        await polling.poll()
        reads.append(halo.reads - before)
        deleted += polling.news()
        halo.wait(1)
    assert [kind for kind, _ in deleted] == ["deleted"]
    assert 0 < sum(count > 1 for count in reads) < len(reads) / 2


async def test_with_changes_all_every_record_is_published_once_in_every_poll():
    halo = halo_of(23, cap=5, takes_order=False, default_order="newest")
    polling = Polling(halo, tickets(changes="all", start="now"))
    for _ in range(2):
        await polling.poll()
        assert sorted(key for _, key in polling.news()) == sorted(str(key) for key in halo.rows)


async def test_what_a_turn_that_dies_told_of_a_record_that_kept_changing_comes_again_under_the_same_key():
    """Pages of five by date are read twice, so the first reading and the second meet the row with different contents."""
    halo = SimulatedHalo(Manners())
    for _ in range(12):
        halo.insert()
    polling = Polling(halo, tickets(overlap=1.0))
    await polling.poll()
    halo.wait(100)
    for key in range(1, 13):
        halo.update(key)
    before = deepcopy(polling.known)
    polling.emitted.changes.clear()
    reads = halo.reads
    halo.churn = lambda halo: halo.reads < reads + 4 and (halo.wait(2), halo.update(3))

    poller = Poller(polling.route, halo, polling.emitted, InProcess(), Clock(halo), Metrics())
    await poller.take_turn(polling.baton, polling.known, lambda: halo.reads > 30)  # it dies here: neither its baton nor what it knows is kept
    dead = told_from(polling.emitted)
    assert len(dead["3"]) > 1, "the row was told more than once"
    halo.churn = lambda _: None
    polling.known = before
    polling.emitted.changes.clear()
    await polling.poll()
    again = told_from(polling.emitted)
    assert again["3"].items() <= dead["3"].items()
    assert {key: contents for key, contents in again.items() if key != "3"} == {key: contents for key, contents in dead.items() if key != "3"}


async def test_a_record_that_goes_back_and_forth_within_a_turn_is_told_each_time_under_a_key_of_its_own():
    turn = Turn(Baton(), RecordIndex(), plan_scan(tickets(), Baton(), 0), Position())
    contents = ["old", "A", "B", "A", "B"]
    assert len({(turn.dedupe_base("1", previous, digest), digest) for previous, digest in pairwise(contents)}) == 4


def told_from(emitted):
    """By record and content: from which content it was told."""
    told = defaultdict(dict)
    for change in emitted.changes:
        told[change.key][change.digest] = change.previous
    return told
