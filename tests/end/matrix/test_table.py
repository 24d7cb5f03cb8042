"""The table of the fault matrix is whole, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TOP = HERE.parents[2]
TABLE = (HERE / "README.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| (\d+) \| .*? \| (.*) \|$", TABLE, re.MULTILINE))
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TABLE)
LAST = 68


@cache
def names_in(path: str) -> set[str]:
    if not (TOP / path).exists():
        return set()
    module = ast.parse((TOP / path).read_text("utf-8"))
    return {node.name for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")}


def test_every_row_is_in_the_table_once():
    assert [int(row) for row in re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)] == list(range(1, LAST + 1))
    assert len(ROWS) == LAST


def test_every_row_names_a_test():
    assert [row for row, tried in ROWS.items() if "::test_" not in tried] == []


def test_every_test_that_is_named_exists():
    assert [f"{path}::{name}" for path, name in NAMED if name not in names_in(path)] == []


def test_every_test_of_the_matrix_is_in_the_table():
    own = {
        (f"tests/end/matrix/{path.name}", name) for path in HERE.glob("test_*.py") if path != Path(__file__) for name in names_in(str(path.relative_to(TOP)))
    }
    assert own - set(NAMED) == set()
