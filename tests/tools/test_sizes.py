"""The short suite leaves no promise without a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tools.every import check_every
from tests.tools.sizes import every_nth, first, seeds

TOP = Path(__file__).parents[2]
PROMISES = re.split(r"^## ", (TOP / "docs/guarantees.md").read_text("utf-8"), flags=re.MULTILINE)[1:]


def is_long(case: object) -> bool:
    return "long" in {mark.name for mark in getattr(case, "marks", ())}


def test_the_first_cases_are_short_and_the_others_long():
    assert [is_long(case) for case in first(2, "abc")] == [False, False, True]
    assert [is_long(case) for case in every_nth(2, "abcd")] == [False, True, False, True]
    few, more = seeds(3, 10)
    assert (few.values, is_long(few)) == ((range(3),), False)
    assert (more.values, is_long(more)) == ((range(3, 10),), True)


def short_tests(path: Path) -> list[str]:
    """The tests of a file that `make test` runs, at least in part."""
    functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    tests = [node for node in functions if node.name.startswith("test_")]
    return [node.name for node in tests if "pytest.mark.long" not in [ast.unparse(decorator) for decorator in node.decorator_list]]


def is_held_by_short_tests(promise: str) -> None:
    held = promise.partition("**Held by**")[2]
    places = [TOP / place for place in re.findall(r"`(tests/[\w/.]+)`", held)]
    files = [file for place in places for file in ([place] if place.suffix else sorted(place.rglob("test_*.py")))]
    assert files, "it names no test"
    assert any(short_tests(file) for file in files), "only long tests hold it"


def test_every_promise_is_held_by_a_test_of_the_short_suite():
    check_every([text for text in PROMISES if "**Held by**" in text], is_held_by_short_tests, lambda text: text.splitlines()[0])
