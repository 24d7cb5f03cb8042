"""The bound that Halo sees, for any pattern of arrivals and any time in flight."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.halo.window import Window

requests = st.lists(
    st.tuples(
        st.floats(0, 4, allow_nan=False),  # pause before it is wanted
        st.floats(0, 15, allow_nan=False),  # time in flight
        st.floats(0, 1, allow_nan=False),  # when in its flight Halo counts it
        st.booleans(),  # whether it never leaves the machine
    ),
    max_size=120,
)


def simulate(window, wanted):
    """When Halo counted each request. Each starts as soon as the window lets it, in the order in which they are wanted."""
    now, counted, running = 0.0, [], []
    for pause, flight, share, unsent in wanted:
        now += pause
        while True:
            for end in sorted(end for end in running if end <= now):
                running.remove(end)
                window.end(end)
            delay = window.delay(now)
            if delay == 0:
                break
            now = min([*running, *([now + delay] if delay is not None else [])])
        window.start(now)
        if unsent:
            window.give_back()
        else:
            running.append(now + flight)
            counted.append(now + flight * share)
    return sorted(counted)


def busiest(counted, seconds):
    """The most requests in any closed window."""
    return max((index - bisect_left(counted, moment - seconds) + 1 for index, moment in enumerate(counted)), default=0)


@given(limit=st.integers(1, 30), seconds=st.floats(0.5, 60), wanted=requests)
def test_halo_never_counts_more_than_the_limit_in_any_rolling_window(limit, seconds, wanted):
    assert busiest(simulate(Window(limit, seconds), wanted), seconds) <= limit


@pytest.mark.parametrize(("limit", "seconds"), [(700, 300.0), (60, 60.0), (5, 1.0)])
def test_nearly_the_whole_allowance_is_used_when_there_is_always_work(limit, seconds):
    counted = simulate(Window(limit, seconds), [(0.0, seconds / 100, 0.5, False)] * limit * 4)
    assert len(counted) / limit / ((counted[-1] - counted[0]) / seconds) > 0.95
    assert busiest(counted, seconds) <= limit


def test_a_burst_is_small_even_after_a_long_rest():
    window = Window(700, 300.0)
    assert busiest(simulate(window, [(0.0, 0.1, 0.5, False)] * 30), 1.0) <= 13


def test_requests_that_never_left_cost_nothing():
    window = Window(2, 10.0)
    for _ in range(50):
        assert window.delay(0.0) == 0
        window.start(0.0)
        window.give_back()
    assert window.used(0.0) == 0


def test_a_full_window_of_running_requests_has_no_known_end():
    window = Window(2, 10.0)
    for moment in (0.0, 6.0):
        window.start(moment)
    assert window.delay(100.0) is None
    window.end(100.0)
    assert window.delay(100.0) == pytest.approx(10.01)
