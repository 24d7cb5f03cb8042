"""The numbers of a shared rate limit: never more than the limit in any rolling window, whatever happens between a permit and the moment when Halo counts."""

from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.allowance import Allowance, Pace

LIMITS = st.tuples(st.integers(1, 2000), st.floats(1, 3600))


def busiest(moments, seconds):
    moments = sorted(moments)
    return max((index - bisect_left(moments, moment - seconds) + 1 for index, moment in enumerate(moments)), default=0)


def minted(allowance, naps, *, confirms=()):
    """When permits are minted by somebody who sleeps so much too long each time, and whose publishes take so long."""
    now, moments = 0.0, []
    pace = Pace(allowance, now)
    slow = iter(confirms)
    for nap in naps:
        began = now
        count = pace.due(now)
        if count:
            now += next(slow, 0.0)
            pace.confirmed(count, began, now)
            moments += [now] * count
        now += pace.wait(now) + nap
    return moments


@every(
    ("requests", "seconds", "least"),
    [(700, 300, 0.92), (350, 300, 0.9), (100, 60, 0.87), (60, 20, 0.85), (300, 30, 0.89), (7000, 300, 0.92), (10, 60, 0.6), (1000, 3600, 0.93), (1000, 1, 0.4)],
)
def test_so_much_of_a_limit_is_used(requests, seconds, least):
    used = seconds / Allowance.of(requests, seconds).interval / requests
    assert least <= used < 0.96


def test_an_interval_of_the_usual_limit_is_as_the_documentation_says():
    allowance = Allowance.of(700, 300)
    assert round(allowance.interval, 3) == 0.463
    assert round(300 / allowance.interval) == 648
    assert (round(allowance.life, 1), allowance.use, allowance.late, allowance.renewal, allowance.lag) == (4.3, 1, 1, 10, 3)


@given(LIMITS, st.lists(st.floats(0, 20), min_size=1, max_size=200), st.lists(st.floats(0, 30), max_size=50))
def test_a_minter_that_is_late_never_makes_more_than_it_may_in_any_time(limit, naps, confirms):
    allowance = Allowance.of(*limit)
    moments = minted(allowance, naps, confirms=confirms)
    for times in (1, 3, 10, 50):
        span = times * allowance.interval + allowance.life
        piece = 1 if allowance.interval > 0.05 else 0.05 / allowance.interval + 1
        assert busiest(moments, span) <= (span + 2 * allowance.late) / allowance.interval + 1 + piece


def test_a_minter_in_time_makes_one_each_interval():
    allowance = Allowance.of(700, 300)
    moments = minted(allowance, [0.0] * 3000)
    assert len(moments) == 3000
    assert moments[-1] == pytest.approx(2999 * allowance.interval)


def test_a_minter_that_sleeps_a_little_too_long_makes_up_for_it():
    allowance = Allowance.of(700, 300)
    moments = minted(allowance, [0.3] * 3000)
    assert len(moments) / moments[-1] == pytest.approx(1 / allowance.interval, rel=0.01)


def test_a_minter_that_was_away_makes_up_for_a_second_only():
    allowance = Allowance.of(700, 300)
    pace = Pace(allowance, 0.0)
    assert pace.due(0.0) == 1
    assert pace.due(3600.0) == 3


def test_what_was_long_on_its_way_to_the_broker_counts_as_minted_when_it_arrived():
    allowance = Allowance.of(700, 300)
    pace = Pace(allowance, 0.0)
    pace.confirmed(pace.due(0.0), 0.0, 20.0)
    assert pace.due(20.0) == 0
    assert pace.wait(20.0) == pytest.approx(allowance.interval)


def test_above_twenty_a_second_permits_are_good_for_several():
    allowance = Allowance.of(1000, 10)
    pace = Pace(allowance, 0.0)
    pace.due(0.0)
    assert pace.wait(0.0) == 0.05
    assert pace.due(0.05) >= 3


@pytest.mark.parametrize(("requests", "seconds"), [(700, 300), (60, 20), (10, 60), (3, 3600), (1000, 10)])
def test_all_that_halo_may_count_in_the_worst_window_is_within_the_limit(requests, seconds):
    """What is minted in the window, before it as far back as a request may be counted late, and made up for by a late minter."""
    allowance = Allowance.of(requests, seconds)
    reaches_back = allowance.life + allowance.use + allowance.renewal + allowance.lag
    for nap in (0.0, allowance.late / 2, allowance.late, 10 * allowance.late):
        moments = minted(allowance, [0.0] * 50 + [nap] + [0.0] * 3 * requests)
        assert busiest(moments, seconds + reaches_back) <= requests


def use(allowance, mints, dice):
    """When Halo counts requests that take their permits, last and renew them as `dice` says."""
    waiting = sorted(mints)
    counted = []
    while waiting:
        mint = waiting.pop(0)
        start = mint + dice.draw(st.floats(0, allowance.life + allowance.use))
        length = dice.draw(st.one_of(st.floats(0, allowance.renewal), st.floats(0, 10 * allowance.renewal)))
        due, end = start + allowance.renewal, start + length
        while due < end:  # a renewal takes any permit that lives when it asks, or the first after it, within the lag
            first = bisect_right(waiting, due - allowance.life)
            if first == len(waiting) or waiting[first] > due + allowance.lag:
                end = due  # the model has no more permits: the request ends here
                break
            waiting.pop(first)
            due += allowance.renewal
        counted.append(start + dice.draw(st.floats(0, 1)) * (end - start))
    return counted


@given(st.tuples(st.integers(5, 60), st.floats(20, 600)), st.lists(st.floats(0, 3), min_size=10, max_size=150), st.data())
def test_whatever_requests_last_halo_counts_no_more_than_the_limit_in_any_rolling_window(limit, naps, dice):
    requests, seconds = limit
    allowance = Allowance.of(requests, seconds)
    assert busiest(use(allowance, minted(allowance, naps), dice), seconds) <= requests
