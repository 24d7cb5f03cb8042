"""What `backfill --status` and `cursor show` say of what is over, and of what is only under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

from worker.cli import backfill, cursor
from worker.state.backfill import Backfill
from worker.state.cursor_admin import BatonStatus

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
RUNNING = Backfill("id", MARCH, MARCH, MARCH.timestamp(), at=MARCH.timestamp() + 3600)


def test_a_backfill_that_has_ended_says_when():
    for state in ("done", "incomplete", "cancelled"):
        ended = replace(RUNNING, state=state)
        assert f"{state} at 2026-03-01T01:00:00Z" in backfill.sentence("tickets", ended)
        assert backfill.backfill_object("tickets", ended)["ended_at"] == "2026-03-01T01:00:00Z"


def test_one_that_is_under_way_has_no_end():
    assert backfill.backfill_object("tickets", RUNNING)["ended_at"] is None


def test_a_cursor_whose_baton_a_replica_holds_is_told_as_a_poll_and_not_as_a_loss():
    told = cursor.baton_object(SimpleNamespace(name="tickets"), BatonStatus(None, bootstrapped=True, place=""), 330.0)
    assert told["state"].startswith("polling: a replica holds the baton for its turn. Look again")
    assert "does not return within 330s, it is gone" in told["state"]
