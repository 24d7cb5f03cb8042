"""What the next scan is, and what its end means for the cursor."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.flows.routes import TICKETS, subscriber
from worker.catalogue.operation import Operation
from worker.changes.position import Position, StampWindow
from worker.flows.polling.plan import ScanPlan, after_scan, next_cursor, plan_scan, resume_scan, suspend_scan
from worker.state.baton import Baton

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON.timestamp()
HOUR = timedelta(hours=1)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
MAYBE = st.none() | MOMENTS
COUNTS = st.integers(0, 10**6)
POSITIONS = st.builds(
    Position,
    state=st.sampled_from(("first", "backwards", "forwards", "complete", "incomplete", "failed")),
    page=COUNTS,
    step=COUNTS,
    count=st.none() | COUNTS,
    end=COUNTS,
    passes=COUNTS,
    until=MAYBE,
    met=COUNTS,
    least=st.none() | COUNTS,
    ascending=st.booleans(),
    rows_entered=st.booleans(),
    trace=st.text("0123456789abcdef", max_size=16),
    before=st.text("0123456789abcdef", max_size=16),
    started=MAYBE,
    latest=MAYBE,
    newest=MAYBE,
    rows=COUNTS,
    reason=st.text(),
)
USERS = replace(TICKETS, path="/Users")
OLD = Baton(learnt=True, cursor=NOON, polls=3)


@given(st.booleans(), MAYBE, st.booleans(), MAYBE, POSITIONS)
def test_a_scan_that_goes_on_is_the_same_after_a_way_through_the_broker(
    full: bool, since: datetime | None, baseline: bool, again: datetime | None, position: Position
):
    plan = ScanPlan(full, since, baseline, again)
    baton = Baton.decode(Baton(scan=suspend_scan(plan, position)).encode())
    assert baton.scan is not None
    assert resume_scan(baton.scan) == (plan, position)


@given(POSITIONS, MAYBE, st.booleans())
def test_the_cursor_never_goes_back_and_never_beyond_halos_clock(position: Position, cursor: datetime | None, learnt: bool):
    baton = Baton(cursor=cursor, learnt=learnt)
    reached = next_cursor(subscriber(), baton, ScanPlan(full=True, since=None, baseline=False), position, NOW)
    if cursor is not None:
        assert reached is not None
        assert reached >= cursor
    if reached is not None and reached != cursor:
        assert position.started is None or reached <= position.started
        assert position.newest is None or reached <= position.newest


def test_the_cursor_is_the_newest_stamp_less_the_time_that_the_scan_took():
    position = Position(state="complete", newest=NOON - HOUR, started=NOON, latest=NOON + timedelta(seconds=30), rows=3)
    assert next_cursor(subscriber(), OLD, plan_scan(subscriber(), OLD, NOW), position, NOW) == NOON
    assert position.reached == NOON - HOUR - timedelta(seconds=30)


def test_a_list_whose_rows_have_no_stamps_goes_by_halos_clock():
    position = Position(started=NOON, latest=NOON, rows=3)
    assert position.reached == NOON
    assert replace(position, rows=0).reached is None


def test_a_clock_of_halos_that_is_wrong_by_years_moves_the_cursor_by_a_day_at_most():
    position = Position(state="complete", newest=NOON + timedelta(days=9999), started=NOON + timedelta(days=9999), rows=3)
    assert next_cursor(subscriber(), OLD, plan_scan(subscriber(), OLD, NOW), position, NOW) == NOON + timedelta(days=1)


def test_without_a_date_header_the_newest_stamp_counts():
    assert Position(newest=NOON, rows=3).reached == NOON


@pytest.mark.parametrize("changes", ["by_content", "all"])
def test_subscribers_by_content_have_no_cursor(changes: Any):
    route = subscriber(changes=changes)
    assert next_cursor(route, Baton(), plan_scan(route, Baton(), NOW), Position(newest=NOON, rows=1), NOW) is None


def test_the_first_poll_from_now_of_records_that_tell_their_birth_looks_back_a_day_and_learns():
    plan = plan_scan(subscriber(), Baton(), NOW)
    assert plan == ScanPlan(full=False, since=NOON - timedelta(days=1), baseline=True)


def test_the_first_poll_from_now_of_other_records_learns_them_all():
    assert plan_scan(subscriber(operation=USERS), Baton(), NOW) == ScanPlan(full=True, since=None, baseline=True)
    assert plan_scan(subscriber(deletes=True), Baton(), NOW) == ScanPlan(full=True, since=None, baseline=True)


def test_the_first_poll_from_the_beginning_reads_all_and_learns_nothing_in_silence():
    assert plan_scan(subscriber(start="beginning"), Baton(), NOW) == ScanPlan(full=True, since=None, baseline=False)


def test_the_first_poll_from_a_date_reads_from_there_in_utc():
    start = NOON.astimezone(tz=None)
    assert plan_scan(subscriber(start=start), Baton(), NOW) == ScanPlan(full=False, since=NOON, baseline=False)


def test_later_polls_read_from_the_cursor_less_the_overlap():
    plan = plan_scan(subscriber(overlap=300.0), OLD, NOW)
    assert plan == ScanPlan(full=False, since=NOON - timedelta(minutes=5), baseline=False)
    assert plan.window(subscriber(overlap=300.0)) == StampWindow(NOON - timedelta(minutes=5), timedelta(minutes=5))


def test_a_learnt_subscriber_without_a_cursor_reads_the_whole_list():
    assert plan_scan(subscriber(), Baton(learnt=True), NOW).full


def test_by_content_every_poll_reads_the_whole_list_and_only_the_first_from_now_learns():
    route = subscriber(changes="by_content")
    assert plan_scan(route, Baton(), NOW) == ScanPlan(full=True, since=None, baseline=True)
    assert plan_scan(route, Baton(learnt=True), NOW) == ScanPlan(full=True, since=None, baseline=False)
    assert plan_scan(route, Baton(), NOW).window(route) is None


def test_changes_all_never_learns():
    assert not plan_scan(subscriber(changes="all"), Baton(), NOW).baseline


def test_deletions_by_date_need_a_whole_scan_when_it_is_due():
    route = subscriber(deletes=True)
    assert plan_scan(route, replace(OLD, full_due=NOW), NOW).full
    assert not plan_scan(route, replace(OLD, full_due=NOW + 1), NOW).full
    assert not plan_scan(subscriber(), replace(OLD, full_due=0.0), NOW).full


def test_a_whole_scan_of_many_pages_makes_the_next_one_wait_longer():
    route, plan = subscriber(deletes=True), ScanPlan(full=True, since=None, baseline=False)
    small, large = (after_scan(route, OLD, plan, Position(state="complete", count=count), NOW)["full_due"] for count in (50, 50_000))
    assert NOW < small < large
    assert large - NOW == pytest.approx(500 * (small - NOW))


def test_a_complete_scan_moves_the_cursor_and_ends_the_learning():
    position = Position(state="complete", newest=NOON + HOUR, started=NOON + 2 * HOUR, latest=NOON + 2 * HOUR, rows=1)
    changes = after_scan(subscriber(), OLD, plan_scan(subscriber(), OLD, NOW), position, NOW)
    assert changes == {"scan": None, "polled": NOW, "polls": 4, "learnt": True, "cursor": NOON + HOUR, "again": None}


def test_an_incomplete_scan_leaves_the_cursor():
    position = Position(state="incomplete", newest=NOON + HOUR, started=NOON + HOUR, rows=1)
    assert after_scan(subscriber(), OLD, plan_scan(subscriber(), OLD, NOW), position, NOW)["cursor"] == NOON
    first = plan_scan(subscriber(), Baton(), NOW)
    assert after_scan(subscriber(), Baton(), first, position, NOW)["cursor"] == first.since


@given(POSITIONS, MAYBE)
def test_only_a_complete_scan_moves_a_cursor_that_is_there(position: Position, cursor: datetime | None):
    baton = Baton(cursor=cursor, learnt=True)
    plan = plan_scan(subscriber(), baton, NOW)
    changes = after_scan(subscriber(), baton, plan, position, NOW)
    if position.state != "complete":
        assert changes.get("cursor", cursor) == cursor


def test_a_whole_scan_after_the_first_knows_what_is_old():
    plan = ScanPlan(full=True, since=None, baseline=False)
    assert plan.context(subscriber(overlap=300.0), OLD).cursor == NOON - timedelta(minutes=5)
    assert plan.context(subscriber(), Baton()).cursor is None
    assert plan.context(subscriber(changes="by_content"), OLD).cursor is None


def test_an_operation_of_one_record_can_be_polled_too():
    one = subscriber(operation=Operation("GET", "/Control"), changes="by_content")
    assert plan_scan(one, Baton(), NOW).full


def test_a_scan_of_the_first_version_of_the_worker_goes_on():
    scan = {name: value for name, value in suspend_scan(ScanPlan(full=True, since=None, baseline=False), Position()).items() if name != "again"}
    assert resume_scan(scan) == (ScanPlan(full=True, since=None, baseline=False), Position())


@pytest.mark.parametrize("changes", ["by_date", "by_content"])
def test_what_an_operator_wants_once_more_is_wanted_of_one_scan_only(changes: str):
    route, wanted = subscriber(changes=changes), replace(OLD, again=NOON - HOUR)
    plan = plan_scan(route, wanted, NOW)
    assert plan.republish_since == plan.context(route, wanted).republish_since == NOON - HOUR
    for state in ("complete", "incomplete"):
        assert after_scan(route, wanted, plan, Position(state=state), NOW)["again"] is None  # type: ignore[arg-type]
    assert "again" not in after_scan(route, wanted, plan, Position(state="failed"), NOW)


def test_a_scan_is_written_as_earlier_versions_read_it():
    position = Position(state="backwards", page=3, step=100, count=420, met=120, least=420, rows_entered=True, trace="0a", started=NOON, rows=220)
    assert suspend_scan(ScanPlan(full=True, since=None, baseline=True), position) == {
        "full": True,
        "since": None,
        "learning": True,
        "again": None,
        "position": {
            "state": "backwards",
            "page": 3,
            "step": 100,
            "count": 420,
            "end": 0,
            "passes": 1,
            "until": None,
            "met": 120,
            "least": 420,
            "ascending": True,
            "shaken": True,
            "trace": "0a",
            "before": "",
            "started": NOON,
            "latest": None,
            "newest": None,
            "rows": 220,
            "reason": "",
        },
    }
