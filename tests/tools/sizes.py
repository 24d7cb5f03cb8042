"""Which of many alike cases `make test` runs: the first few; `make check` runs them all."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

LONG = "pytest.mark.long"
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


def short_tests(file: Path) -> set[str]:
    """The names of the tests of a file that `make test` runs, at least in part."""
    module = ast.parse(file.read_text("utf-8")).body
    if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and LONG in ast.unparse(node.value) for node in module):
        return set()
    tests = [node for node in module if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")]
    return {node.name for node in tests if LONG not in [ast.unparse(decorator) for decorator in node.decorator_list]}
