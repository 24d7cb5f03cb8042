"""Slow tests are spread over the processes of a run."""

from __future__ import annotations

from tests.tools.spread import spread

FAST = [f"tests/unit/test_a.py::test_{number}" for number in range(22)]
SLOW = [f"tests/end/test_{file}.py::test_{number}" for file in "bcd" for number in range(2)]


def ordered(processes: int) -> list[str]:
    return spread([(test, test) for test in FAST + SLOW], processes)


def test_no_test_is_lost_or_doubled():
    assert sorted(ordered(3)) == sorted(FAST + SLOW)


def test_each_equal_part_begins_with_one_slow_file_whole_and_ends_with_fast_tests():
    tests, parts = ordered(3), []
    for left in (3, 2, 1):  # as pytest-xdist divides them
        size = len(tests) // left
        parts.append(tests[:size])
        tests = tests[size:]
    assert [part[:2] for part in parts] == [SLOW[:2], SLOW[2:4], SLOW[4:]]
    assert all(test in FAST for part in parts for test in part[2:])
