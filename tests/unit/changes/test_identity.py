"""A key that does not identify the records of a list is told at the first poll, and nothing of that poll is published."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.unit.changes.polling import Polling, tickets
from tests.unit.changes.simulated import Manners, SimulatedHalo
from tests.unit.changes.test_scan import halo_of
from worker.catalogue.catalogue import load
from worker.changes.identity import ambiguity, are_ambiguous, suggestion
from worker.changes.records import record_key
from worker.flows.polling.poll import HELD_PAGES

NOTHING: frozenset[str] = frozenset()
TIMESHEETS = [{"id": 0, "agent_id": agent, "agent_name": f"A {agent}", "date": f"2026-03-0{day}T00:00:00"} for agent in (1, 2) for day in (1, 2, 3)]
FIELDS = [{"id": number, "typeinfo_id": kind, "name": f"{kind} {number}"} for kind in (7, 8) for number in (1, 2)]


def ambiguous(rows: list[dict[str, Any]], members: tuple[str, ...], ignore: frozenset[str] = NOTHING) -> bool:
    return are_ambiguous(rows, [record_key(row, members) for row in rows], ignore)


@pytest.mark.parametrize(("rows", "wrong", "entity"), [(TIMESHEETS, ("id",), "Timesheet"), (FIELDS, ("id",), "AssetTypeInfo")])
def test_lists_whose_ids_repeat_are_told_from_those_that_the_catalogue_has_the_key_of(rows: list[dict[str, Any]], wrong: tuple[str, ...], entity: str):
    assert ambiguous(rows, wrong)
    assert not ambiguous(rows, load().find(entity, "GET").key)


@every(
    ("entity", "key"),
    [
        ("Timesheet", ("agent_id", "date")),
        ("Timesheet/mine", ("agent_id", "date")),
        ("AssetTypeInfo", ("typeinfo_id", "id")),
        ("workflowstep", ("fdid", "step_id")),
        ("OnlineStatus", ("techID",)),
        ("Lookup", ("lookupid", "id")),
        ("Actions", ("ticket_id", "id")),
        ("Tickets", ("id",)),
    ],
)
def test_the_catalogue_knows_what_identifies_a_record(entity: str, key: tuple[str, ...]):
    assert load().find(entity, "GET").key == key


def test_rows_that_are_the_same_but_for_what_is_no_content_are_one_record_shown_twice():
    row = {"id": 1, "name": "a"}
    assert not ambiguous([row, dict(row)], ("id",))
    assert not ambiguous([row, row | {"_canupdate": True, "ticketage": 3.5}], ("id",))
    assert not ambiguous([row, row | {"seen": 2}], ("id",), frozenset({"seen"}))
    assert ambiguous([row, row | {"seen": 2}], ("id",))
    assert not ambiguous([{"name": "a"}, {"name": "b"}], ("id",)), "rows without a key are another mistake"


@given(st.lists(st.fixed_dictionaries({"id": st.integers(0, 3), "n": st.integers(0, 2)}), max_size=8))
def test_a_key_is_ambiguous_where_two_contents_have_it(rows: list[dict[str, Any]]):
    contents = {row["id"]: {other["n"] for other in rows if other["id"] == row["id"]} for row in rows}
    assert ambiguous(rows, ("id",)) == any(len(found) > 1 for found in contents.values())


def test_the_reason_names_the_key_and_a_key_that_would_do():
    assert suggestion(TIMESHEETS, ("id",)) == ("agent_id", "date")
    assert suggestion(FIELDS, ("id",)) == ("id", "typeinfo_id")
    assert suggestion([{"id": 1, "kind": "a"}, {"id": 2, "kind": "a"}], ("kind",)) == ("id",)
    assert suggestion([{"id": 1, "a": 1}, {"id": 1, "a": 2}], ("id",)) == ()
    assert "`key: [agent_id, date]`" in ambiguity(TIMESHEETS, ("id",))
    assert "`key: [member, …]`" in ambiguity([{"id": 1, "a": 1}, {"id": 1, "a": 2}], ("id",))
    assert "A 1" not in ambiguity(TIMESHEETS, ("id",)), "no data"


@pytest.mark.parametrize("changes", ["by_date", "by_content", "all"])
async def test_nothing_of_a_poll_with_a_wrong_key_is_published_or_learnt(changes: Any):
    polling = Polling(halo_of(12, cap=5), tickets(key=("summary",), changes=changes, deletes=changes == "by_content"))
    for _ in range(3):
        assert await polling.poll() == "incomplete"
        assert polling.news() == []
    assert (polling.baton.learnt, polling.baton.cursor, polling.known.hashes) == (False, None, {})
    assert "summary does not identify a record" in polling.reasons[-1]


@pytest.mark.parametrize("page", [1, 2, 3, HELD_PAGES])
async def test_pages_before_the_one_that_shows_it_are_not_published_either(page: int):
    halo = SimulatedHalo(Manners(cap=5))
    for _ in range(5 * HELD_PAGES - 1):
        halo.insert()
    polling = Polling(halo, tickets(key=("born",), changes="by_content"))
    twins = [5 * page - 3, 5 * page - 2]
    shown = halo._answer

    def with_births(query: dict[str, str]) -> Any:
        answer = shown(query)
        return {**answer, "tickets": [row | {"born": -1 if row["id"] in twins else row["id"]} for row in answer["tickets"]]}

    halo._answer = with_births  # type: ignore[method-assign]
    assert await polling.poll() == "incomplete"
    assert polling.news() == []
    twins.clear()
    assert await polling.poll() == "complete"
    assert len(polling.news()) == 5 * HELD_PAGES - 1


async def test_a_record_that_moves_and_changes_between_two_pages_is_no_wrong_key():
    halo = halo_of(23, cap=5, default_order="newest", takes_order=False)
    random = Random(3)

    def busy(it: SimulatedHalo) -> None:
        it.update(random.choice(list(it.rows)))

    halo.churn = busy
    polling = Polling(halo, tickets(changes="by_content"))
    for _ in range(10):
        await polling.poll()
        halo.wait(60)
    assert not any("identify" in reason for reason in polling.reasons)
    halo.churn = lambda _: None
    halo.wait(timedelta(hours=1).total_seconds())
    assert await polling.poll() == "complete"
    assert polling.untold() == {}
