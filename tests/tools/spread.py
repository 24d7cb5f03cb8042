"""The order of tests for several processes: each begins with its share of the slow ones, so that none is left with a slow one at the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

T = TypeVar("T")
SECONDS = {
    "tests/end/test_order.py": 18.0,
    "tests/end/test_watchdog.py": 13.0,
    "tests/end/test_once_only.py": 11.0,
    "tests/end/test_hostile_expressions.py": 11.0,
    "tests/end/test_status_commands.py": 9.0,
    "tests/end/test_memory.py": 7.0,
    "tests/end/test_replicas.py": 7.0,
    "tests/end/matrix/": 9.0,
    "tests/end/": 4.0,
    "tests/page/": 10.0,
    "tests/evaluator/": 0.6,
    "tests/brokers/": 0.4,
    "tests/flows/": 0.4,
}
"""About how long one test takes, by the start of its file's path, the first that fits; twenty of the others take a second."""


def seconds_of(test: str) -> float:
    """About how long a test takes, by its id."""
    return next((seconds for start, seconds in SECONDS.items() if test.startswith(start)), 0.0)


def spread(tests: Sequence[tuple[str, T]], processes: int) -> list[T]:
    """The tests, each with its id, in an order of which each process first takes one of equal parts: every part begins with slow files, then come fast ones.

    Files stay whole, with their tests in order: their fixtures are made once.
    """
    files = [list(group) for _, group in groupby(tests, key=lambda test: test[0].partition("::")[0])]
    slow = sorted((file for file in files if seconds_of(file[0][0])), key=lambda file: -seconds_of(file[0][0]) * len(file))
    fast = [test for file in files if not seconds_of(file[0][0]) for _, test in file]
    parts: list[tuple[float, list[list[tuple[str, T]]]]] = [(0.0, []) for _ in range(processes)]
    for file in slow:
        least = min(range(processes), key=lambda number: parts[number][0])
        parts[least] = (parts[least][0] + seconds_of(file[0][0]) * len(file), [*parts[least][1], file])
    ordered: list[T] = []
    for number, (_, own) in enumerate(parts):
        part = [test for file in sorted(own, key=lambda file: -seconds_of(file[0][0])) for _, test in file]
        size = (len(tests) - len(ordered)) // (processes - number)  # as pytest-xdist divides them
        room = max(0, size - len(part))
        ordered += part + fast[:room]
        fast = fast[room:]
    return ordered + fast
