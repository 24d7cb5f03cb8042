"""Which of many alike cases `make test` runs: the first few; `make check` runs them all."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

ON_BOTH_BROKERS = pytest.mark.parametrize("job", ["memory", "rabbitmq"], indirect=True)
"""For what RabbitMQ itself decides: `make test` runs it on RabbitMQ too."""


def first(count: int, values: Iterable[object]) -> list[object]:
    """Values for `parametrize`, of which all but the first `count` are marked `long`."""
    cases = list(values)
    return [*cases[:count], *(pytest.param(case, marks=pytest.mark.long) for case in cases[count:])]


def every_nth(step: int, values: Iterable[object]) -> list[object]:
    """Values for `parametrize`, of which all but one in `step` are marked `long`."""
    return [case if not number % step else pytest.param(case, marks=pytest.mark.long) for number, case in enumerate(values)]


def seeds(quick: int, all_of_them: int) -> list[object]:
    """Two values for `parametrize`: the first `quick` seeds, and, marked `long`, the others."""
    return [
        pytest.param(range(quick), id=f"{quick}_seeds"),
        pytest.param(range(quick, all_of_them), id=f"{all_of_them - quick}_more_seeds", marks=pytest.mark.long),
    ]
