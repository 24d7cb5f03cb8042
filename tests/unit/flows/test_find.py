"""Looking before creating: one match, none, or a doubt that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from tests.unit.flows.routes import Given, ScriptedHalo, answered, find
from worker.core.errors import ExpressionError
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.flows.lookups.rows import MAX_PAGES, row_test
from worker.flows.writes.lookup import AmbiguousMatch, Answer, LookupFailed, Match, NoMatch, lookup, match_of

WANTED = {"serial": "SN-7"}
HIT = {"id": 70, "inventory_number": "SN-7"}


async def looked_up(
    halo: ScriptedHalo, route_find: Any, context: Any, bindings: Any, evaluator: InProcess, priority: Priority = Priority.WRITE, seconds: float | None = None
) -> Answer:
    """As a writer does it: what it matches by comes first."""
    wanted = await match_of(route_find, context, bindings, evaluator)
    return await lookup(halo, route_find, wanted, context, bindings, evaluator, priority=priority, timeout=seconds)


def others(start: int, count: int) -> list[dict[str, Any]]:
    return [{"id": start + number, "inventory_number": f"other {start + number}"} for number in range(count)]


def page(rows: list[dict[str, Any]], count: int | None = None) -> Exchange:
    return answered({"assets": rows} if count is None else {"record_count": count, "assets": rows})


async def test_one_row_that_matches_is_found():
    halo = ScriptedHalo([page([*others(1, 3), HIT], 4)])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == Match(70)
    assert dict(halo.requests[0].query) == {"search": "SN-7", "pageinate": "true", "page_size": "100", "page_no": "1"}


async def test_no_row_is_certainly_none_after_one_page_that_holds_all():
    halo = ScriptedHalo([page(others(1, 3), 3)])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == NoMatch()
    assert len(halo.requests) == 1


async def test_two_records_that_match_cannot_be_told_apart():
    assert isinstance(await looked_up(ScriptedHalo([page([HIT, HIT | {"id": 71}], 2)]), find(), WANTED, {}, InProcess()), AmbiguousMatch)


async def test_one_record_listed_twice_is_one_match():
    assert await looked_up(ScriptedHalo([page([HIT, HIT], 2)]), find(), WANTED, {}, InProcess()) == Match(70)


async def test_a_match_on_a_later_page_is_found_when_pages_are_shorter_than_asked():
    halo = ScriptedHalo([page(others(1, 50), 110), page(others(51, 50), 110), page([*others(101, 9), HIT], 110)])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == Match(70)
    assert [request.query["page_no"] for request in halo.requests] == ["1", "2", "3"]


async def test_a_second_match_on_a_later_page_is_seen():
    assert isinstance(
        await looked_up(ScriptedHalo([page([HIT, *others(1, 99)], 101), page([HIT | {"id": 71}], 101)]), find(), WANTED, {}, InProcess()), AmbiguousMatch
    )


async def test_a_list_without_counts_is_read_to_its_end():
    halo = ScriptedHalo([page(others(1, 100)), page([HIT]), page([])])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == Match(70)


async def test_a_list_that_ignores_paging_is_whole_when_its_first_page_comes_again():
    halo = ScriptedHalo([page(others(1, 7))])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == NoMatch()
    assert len(halo.requests) == 2


async def test_none_among_fewer_rows_than_halo_counts_is_not_certainly_none():
    assert isinstance(await looked_up(ScriptedHalo([page(others(1, 5), 9), page([], 9)]), find(), WANTED, {}, InProcess()), AmbiguousMatch)


async def test_a_count_below_what_halo_gives_ends_nothing():
    halo = ScriptedHalo([page(others(1, 100), 1), page([HIT], 1), page([], 1)])
    assert await looked_up(halo, find(), WANTED, {}, InProcess()) == Match(70)


async def test_more_pages_than_are_looked_through_are_no_answer():
    halo = ScriptedHalo([page(others(number, 100), 9_999) for number in range(1, 2_000, 100)])
    assert isinstance(await looked_up(halo, find(), WANTED, {}, InProcess()), AmbiguousMatch)
    assert len(halo.requests) == MAX_PAGES


@pytest.mark.parametrize("value", [None, "", "   "])
async def test_nothing_is_looked_up_by_an_empty_value(value: Any):
    halo = ScriptedHalo([page([HIT | {"inventory_number": value}], 1)])
    with pytest.raises(ExpressionError, match=r"`find\.match\.inventory_number` has no value"):
        await looked_up(halo, find(), {"serial": value}, {}, InProcess())
    assert halo.requests == []


async def test_a_match_by_nothing_at_all_matches_nothing():
    with pytest.raises(ExpressionError, match="names no member"):
        await looked_up(ScriptedHalo([page([HIT], 1)]), find(match={}), WANTED, {}, InProcess())


async def test_every_member_must_match():
    both = find(match={"inventory_number": Given("SN-7"), "client_id": Given(7)})
    halo = ScriptedHalo([page([HIT | {"client_id": 8}, HIT | {"id": 71, "client_id": 7.0}], 2)])
    assert await looked_up(halo, both, WANTED, {}, InProcess()) == Match(71)


async def test_a_match_without_an_id_is_no_answer():
    assert isinstance(await looked_up(ScriptedHalo([page([{"inventory_number": "SN-7"}], 1)]), find(), WANTED, {}, InProcess()), AmbiguousMatch)


@pytest.mark.parametrize(
    "exchange",
    [
        Exchange(RequestResult.REJECTED, 400),
        Exchange(RequestResult.AMBIGUOUS, 500),
        Exchange(RequestResult.NOT_SENT),
        Exchange(RequestResult.DONE, 200, body="x"),
    ],
)
async def test_a_question_that_halo_does_not_answer_is_no_finding(exchange: Exchange):
    assert await looked_up(ScriptedHalo([exchange]), find(), WANTED, {}, InProcess()) == LookupFailed(exchange)


def same(left: Any, right: Any) -> bool:
    return row_test({"member": right})({"member": left})


@pytest.mark.parametrize(("left", "right"), [(7, "7"), (7.0, "7"), (7, 7.0), ("Sn-7 ", "sn-7"), (True, True), (None, None), ("ß", "SS")])
def test_values_are_the_same_however_halo_writes_them(left: Any, right: Any):
    assert same(left, right)
    assert same(right, left)


@every(("left", "right"), [(7, 8), (7.5, 7), (True, 1), (True, "True"), (None, ""), (None, "None"), ([7], 7), ({}, "{}")])
def test_other_values_are_not(left: Any, right: Any):
    assert not same(left, right)


@given(st.integers(0, 2**53))
def test_a_number_is_the_same_as_its_text(number: int):
    assert same(number, str(number))
    assert not same(number, str(number + 1))


@pytest.mark.parametrize(("priority", "seconds"), [(Priority.WRITE, None), (Priority.RUNBOOK, 3.0)])
async def test_a_lookup_has_the_priority_and_the_timeout_of_its_write(priority: Priority, seconds: float | None):
    @dataclass
    class Noting:
        asked: list[tuple[Priority, float | None]]

        async def send(self, request: Request, *, priority: Priority) -> Exchange:
            self.asked.append((priority, request.timeout))
            return page(others(1, 100)) if len(self.asked) == 1 else page([])

    halo = Noting([])
    found = await looked_up(halo, find(), WANTED, {}, InProcess(), priority, seconds)
    assert found == NoMatch()
    assert halo.asked == [(priority, seconds)] * 2
