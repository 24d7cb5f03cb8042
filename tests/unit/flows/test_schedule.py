"""When a subscriber is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.flows.polling.schedule import JITTER_MAX, Schedule
from worker.state.baton import Baton

TIMES = st.floats(0, 4e9)
SCHEDULES = st.builds(Schedule, st.floats(0.1, 1e6), st.none()) | st.builds(Schedule, st.none(), st.sampled_from(("*/5 * * * *", "0 3 * * 1", "30 4 1 * *")))


@given(SCHEDULES, TIMES)
def test_jitter_never_makes_it_early_and_never_later_than_it_may(schedule: Schedule, now: float):
    due = schedule.next(now)
    assert schedule.due(now) <= due <= schedule.due(now) + schedule.most_jitter
    assert schedule.most_jitter <= JITTER_MAX


@given(SCHEDULES, st.floats(1, 4e9))
def test_a_waiting_baton_keeps_its_due_time_while_the_schedule_stays_as_it_was(schedule: Schedule, polled: float):
    due = schedule.next(polled)
    assert schedule.revised(Baton(polled=polled, due=due)) == due


@given(st.floats(1, 4e9))
def test_a_schedule_that_changed_gives_a_waiting_baton_its_own_due_time(polled: float):
    waiting = Baton(polled=polled, due=Schedule(3600.0, None).next(polled))
    assert Schedule(60.0, None).revised(waiting) == polled + 60
    assert Schedule(86_400.0, None).revised(waiting) == polled + 86_400


@given(SCHEDULES, st.floats(1, 4e9), st.floats(0, 300))
def test_a_poll_that_failed_keeps_its_early_retry_over_a_restart(schedule: Schedule, polled: float, wait: float):
    early = min(polled + wait, schedule.due(polled))
    assert schedule.revised(Baton(polled=polled, due=early, failures=1)) == early


def test_a_nightly_poll_that_failed_is_not_put_off_by_a_restart_to_the_next_night():
    night = datetime(2026, 3, 1, 3, tzinfo=UTC).timestamp()
    nightly = Schedule(None, "0 3 * * *")
    assert nightly.revised(Baton(polled=night, due=night + 300, failures=1)) == night + 300
    assert nightly.revised(Baton(polled=night, due=night + 300)) == night + 86_400, "a schedule that changed, after a good poll"


def test_after_a_failed_poll_a_shorter_schedule_counts_too():
    assert Schedule(60.0, None).revised(Baton(polled=1000.0, due=1300.0, failures=2)) == 1060.0


def test_a_baton_that_was_never_polled_is_due_as_it_says():
    assert Schedule(60.0, None).revised(Baton(due=5.0)) == 5.0


def test_cron_lines_are_in_utc():
    after = datetime(2026, 3, 1, 12, 1, tzinfo=UTC).timestamp()
    assert Schedule(None, "0 3 * * *").due(after) == datetime(2026, 3, 2, 3, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("every", "most"), [(60.0, 3.0), (1.0, 0.05), (86_400.0, 10.0), (None, 10.0)])
def test_jitter_is_a_twentieth_of_the_interval_and_ten_seconds_at_most(every: float | None, most: float):
    assert Schedule(every, None if every else "* * * * *").most_jitter == pytest.approx(most)
