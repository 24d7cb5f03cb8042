"""How far a backfill is, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from worker.state.backfill import Backfill
from worker.state.baton import Baton

NEW = Backfill("b1", datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), begun=1000.0)


def worked(backfill: Backfill, turns: int, *, seconds: float, rows: int, gap: float) -> Backfill:
    """This many turns at a steady speed."""
    now = backfill.at or 1000.0
    for _ in range(turns):
        now += gap
        backfill = replace(backfill, done=backfill.done + rows, total=100_000).worked(now + seconds, now)
        now += seconds
    return backfill


@pytest.mark.parametrize("turns", [5, 50, 150, 190])
def test_the_forecast_of_the_end_is_right_at_a_steady_speed(turns):
    found = worked(NEW, turns, seconds=5, rows=500, gap=0.5)
    assert found.left == pytest.approx((200 - turns) * 5.5, rel=0.1)


def test_an_outage_says_nothing_about_the_speed():
    before = worked(NEW, 100, seconds=5, rows=500, gap=0.5)
    after = worked(replace(before, at=before.at + 7200), 50, seconds=5, rows=500, gap=0.5)
    late = worked(before, 1, seconds=5, rows=500, gap=7200)
    assert after.left == pytest.approx(50 * 5.5, rel=0.1)
    assert late.left == pytest.approx(99 * 5.5, rel=0.1)


def test_there_is_no_forecast_before_anything_is_counted_and_none_after_the_end():
    assert NEW.left is None
    assert replace(NEW, state="done", done=5, total=5).left is None


def test_a_baton_carries_it_and_an_older_baton_has_none():
    backfill = worked(NEW, 3, seconds=5, rows=500, gap=0.5)
    again = Baton.decode(Baton(backfill=backfill.as_object(), poll_due=5.0).encode())
    assert (Backfill.of(again.backfill), again.poll_due) == (backfill, 5.0)
    assert Backfill.of(Baton.decode(Baton().encode()).backfill) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"id": "x"},
        NEW.as_object() | {"since": "yesterday"},
        NEW.as_object() | {"rows": -1},
        NEW.as_object() | {"state": "odd"},
        NEW.as_object() | {"spent": "1"},
    ],
)
def test_what_no_worker_wrote_is_no_backfill(wrong):
    assert Backfill.of(wrong) is None
