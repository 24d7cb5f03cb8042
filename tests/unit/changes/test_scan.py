"""Each way in which Halo pages, counts and filters, one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from tests.unit.changes.simulated import LISTING, OPERATION, Manners, SimulatedHalo, filled
from worker.changes.pages import PageReader
from worker.changes.position import Position, StampWindow
from worker.changes.scan import Scan, SeenRows
from worker.changes.scan_transitions import MAX_PASSES
from worker.core.exchange import Exchange, Request, RequestResult

LONG = 10_000.0


def halo_of(rows: int, **manners: Any) -> SimulatedHalo:
    halo = SimulatedHalo(Manners(**manners))
    filled(halo, Random(7), rows)
    return halo


async def read(halo: SimulatedHalo, window: StampWindow | None = None, *, listing: Any = LISTING, ordered: bool = True) -> tuple[Position, set[str]]:
    seen, position = SeenRows(), Position()
    scan = Scan(PageReader(halo, Request("GET", OPERATION.path), listing, lambda *_: None), ("id",), window, ordered=ordered, pause=lambda: False)
    async for step in scan.steps(position, seen):
        position = step.position
    return position, seen.keys


def everything(halo: SimulatedHalo) -> StampWindow:
    """A window that holds all rows, its overlap none of them."""
    return StampWindow(halo.now - timedelta(seconds=LONG), timedelta(seconds=1))


async def test_a_list_that_fits_one_page_is_one_request():
    halo = halo_of(4)
    position, keys = await read(halo)
    assert (position.state, halo.reads, len(keys)) == ("complete", 1, 4)


async def test_an_empty_list_is_complete():
    position, keys = await read(halo_of(0))
    assert (position.state, keys) == ("complete", set())


async def test_pages_shorter_than_asked_are_read_to_the_end_from_the_last_to_the_first():
    halo = halo_of(23, cap=5)
    position, keys = await read(halo)
    assert (position.state, len(keys)) == ("complete", 23)
    assert [request.query["page_no"] for request in halo.requests] == ["1", "5", "4", "3", "2", "1"]
    assert {request.query["page_size"] for request in halo.requests} == {"100"}


async def test_pages_are_asked_for_in_the_order_of_ids_with_booleans_that_halo_understands():
    halo = halo_of(3)
    await read(halo)
    assert dict(halo.requests[0].query) == {"pageinate": "true", "page_size": "100", "page_no": "1", "order": "id", "orderdesc": "false"}


async def test_a_list_without_order_is_asked_for_none():
    halo = halo_of(3)
    await read(halo, ordered=False)
    assert "order" not in halo.requests[0].query


@pytest.mark.parametrize("shape", ["array", "results", "uncounted"])
async def test_a_list_without_counts_is_read_to_its_first_empty_page_and_back(shape: str):
    halo = halo_of(12, cap=5, shape=shape)
    position, keys = await read(halo)
    assert (position.state, len(keys)) == ("complete", 12)
    assert [request.query["page_no"] for request in halo.requests] == ["1", "2", "3", "4", "3", "2", "1"]


@pytest.mark.parametrize("shape", ["array", "results"])
async def test_a_list_that_ignores_paging_is_complete_when_its_first_page_comes_again(shape: str):
    halo = halo_of(12, cap=1000, shape=shape, pages=False)
    position, keys = await read(halo)
    assert (position.state, len(keys), halo.reads) == ("complete", 12, 2)


async def test_a_counted_list_that_gives_the_first_page_again_and_again_is_incomplete():
    halo = halo_of(40, cap=5, pages=False)
    position, _ = await read(halo)
    assert position.state == "incomplete"
    assert position.reason == "page 8 repeats the page before: Halo ignores paging here"
    assert halo.reads == 2


async def test_pages_that_never_end_are_not_read_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.changes.scan_transitions.MAX_PAGES", 30)
    halo = halo_of(0, endless=True, shape="results")
    position, _ = await read(halo)
    assert (position.state, position.reason, halo.reads) == ("incomplete", "no end after 30 pages", 30)


async def test_a_count_beyond_all_reason_is_refused_before_anything_is_read():
    halo = halo_of(10, cap=5, count=200_000)
    position, _ = await read(halo)
    assert position.state == "incomplete"
    assert "narrow the query" in position.reason
    assert halo.reads == 1


async def test_a_first_page_without_rows_of_a_list_that_counts_some_is_incomplete():
    position, _ = await read(halo_of(10, cap=5, first_page_empty=True))
    assert (position.state, position.reason) == ("incomplete", "Halo counts 10 records but the first page is empty")


async def test_a_count_above_what_halo_gives_is_incomplete_as_soon_as_two_passes_agree():
    halo = halo_of(10, cap=5, count=3)
    position, keys = await read(halo)
    assert (position.state, position.reason) == ("incomplete", "counts disagree: Halo counts 13 records and gives 10")
    assert len(keys) == 10
    assert position.passes <= MAX_PASSES


async def test_rows_hidden_after_paging_make_a_scan_incomplete_but_none_of_the_others_is_missed():
    halo = halo_of(23, cap=5)
    hidden = frozenset(sorted(halo.rows)[6:8])
    halo.manners = replace(halo.manners, hides_after_paging=hidden)
    position, keys = await read(halo)
    assert position.state == "incomplete"
    assert keys == {str(key) for key in halo.rows.keys() - hidden}


@pytest.mark.parametrize("count", [-3, -10, -15, -22])
async def test_a_count_that_is_too_low_hides_no_row(count: int):
    halo = halo_of(23, cap=5, count=count)
    position, keys = await read(halo)
    assert (position.state, len(keys)) == ("complete", 23)


async def test_a_count_that_is_that_of_a_full_page_hides_no_row():
    halo = halo_of(250, cap=100, count=-150)
    position, keys = await read(halo)
    assert (position.state, len(keys)) == ("complete", 250)


async def test_rows_without_what_identifies_them_make_a_scan_incomplete_and_say_what_to_set():
    halo = halo_of(3)
    scan = Scan(PageReader(halo, Request("GET", "/Tickets"), LISTING, lambda *_: None), ("ticket_id", "id"), None, ordered=True, pause=lambda: False)
    positions = [step.position async for step in scan.steps(Position(), SeenRows())]
    assert (positions[-1].state, positions[-1].reason) == ("incomplete", "3 rows lack ticket_id or id, which identifies a record: set `key` on the route")


async def test_an_unpaged_list_is_one_answer_and_incomplete_when_halo_counts_more():
    listing = replace(LISTING, paged=False)
    halo = halo_of(7, cap=1000)
    assert (await read(halo, listing=listing))[0].state == "complete"
    assert "pageinate" not in halo.requests[0].query
    halo.manners = replace(halo.manners, count=2)
    position, _ = await read(halo, listing=listing)
    assert (position.state, position.reason) == ("incomplete", "Halo counts 9 records but answers 7, and this list cannot be paged")


async def test_a_window_is_read_whole_and_then_closed_before_its_overlap():
    halo = halo_of(23, cap=5)
    newest = max(row.stamp for row in halo.rows.values())
    window = everything(halo)
    position, keys = await read(halo, window)
    assert (position.state, len(keys)) == ("complete", 23)
    closed = {request.query["lastupdatetodate"] for request in halo.requests if "lastupdatetodate" in request.query}
    assert closed == {(position.until or newest).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    assert position.until is not None
    assert position.until <= newest - window.overlap
    assert {request.query["lastupdatefromdate"] for request in halo.requests} == {window.since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


async def test_a_window_that_lies_in_its_overlap_is_read_once():
    halo = halo_of(0, cap=5)
    for _ in range(23):
        halo.insert()
    position, keys = await read(halo, StampWindow(halo.now - timedelta(seconds=60), timedelta(seconds=300)))
    assert (position.state, len(keys), halo.reads) == ("complete", 23, 6)


async def test_a_whole_list_in_no_known_order_is_read_until_two_passes_agree():
    halo = halo_of(23, cap=5, takes_order=False, default_order="newest")
    position, keys = await read(halo)
    assert (position.state, len(keys), halo.reads) == ("complete", 23, 11)


async def test_a_whole_list_in_no_known_order_that_keeps_moving_is_incomplete():
    halo = halo_of(23, cap=5, takes_order=False, default_order="newest")
    halo.churn = lambda it: it.update(min(it.rows))
    halo.update(max(halo.rows))
    position, _ = await read(halo)
    assert position.state in {"incomplete", "complete"}
    halo.churn = lambda it: it.update(min(it.rows, key=lambda key: it.rows[key].stamp))
    position, _ = await read(halo)
    assert (position.state, position.reason) == ("incomplete", f"rows kept moving between pages through {MAX_PASSES} passes")


async def test_a_failed_page_ends_the_scan_with_its_exchange():
    halo = halo_of(23, cap=5)
    send, failure = halo.send, Exchange(RequestResult.AMBIGUOUS, 500, "Halo answered 500")

    async def third_fails(request: Request, **more: Any) -> Exchange:
        return failure if halo.reads == 2 else await send(request, **more)

    halo.send = third_fails  # type: ignore[method-assign]
    scan = Scan(PageReader(halo, Request("GET", "/Tickets"), LISTING, lambda *_: None), ("id",), None, ordered=True, pause=lambda: False)
    steps = [step async for step in scan.steps(Position(), SeenRows())]
    assert (steps[-1].position.state, steps[-1].position.reason, steps[-1].failure) == ("failed", "Halo answered 500", failure)
