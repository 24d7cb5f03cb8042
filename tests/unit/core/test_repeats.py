"""A repeating state is logged once and then at growing intervals."""

from __future__ import annotations

from itertools import pairwise

from worker.core.repeats import MAX_INTERVAL, MAX_STATES, Repeats


def lines(repeats: Repeats, state: str, seconds: range) -> list[int]:
    return [second for second in seconds if repeats.due(state, float(second))]


def test_a_state_that_repeats_every_second_is_told_at_growing_intervals():
    assert lines(Repeats(), "down", range(300)) == [0, 30, 90, 210]


def test_an_hour_is_the_longest_interval():
    told = lines(Repeats(), "down", range(0, 100_000, 10))
    assert max(later - earlier for earlier, later in pairwise(told)) == MAX_INTERVAL


def test_another_state_is_told_at_once_and_does_not_make_the_first_new():
    repeats = Repeats()
    assert [repeats.due(state, 1.0) for state in ("a", "b", "a", "b")] == [True, True, False, False]


def test_a_state_that_was_gone_for_long_is_new():
    repeats = Repeats()
    lines(repeats, "down", range(100))
    assert lines(repeats, "down", range(1000, 1040)) == [1000, 1030]


def test_few_states_are_remembered():
    repeats = Repeats()
    assert all(repeats.due(str(number), 1.0) for number in range(10 * MAX_STATES))
    assert len(repeats._states) == MAX_STATES
