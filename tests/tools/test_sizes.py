"""The short suite leaves no promise without a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tools.every import check_every
from tests.tools.sizes import every_nth, first, seeds, short_tests

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


def test_what_is_long_as_a_whole_or_by_its_file_is_not_short(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text("@pytest.mark.long\ndef test_a(): ...\n@pytest.mark.parametrize('x', first(1, 'xy'))\nasync def test_b(x): ...\ndef of_c(): ...\n")
    assert short_tests(file) == {"test_b"}
    file.write_text(f"pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]\n{file.read_text()}")
    assert short_tests(file) == set()


def is_held_by_short_tests(promise: str) -> None:
    held = promise.partition("**Held by**")[2].partition("; measured by")[0]
    places = [TOP / place for place in re.findall(r"`(tests/[\w/.]+)`", held)]
    assert places, "it names no test"
    only_long = [place.relative_to(TOP).as_posix() for place in places if not has_short_tests(place)]
    assert not only_long, f"make test leaves all of them out: {only_long}"


def has_short_tests(place: Path) -> bool:
    return any(short_tests(file) for file in ([place] if place.suffix else place.rglob("test_*.py")))


def test_every_file_that_holds_a_promise_has_a_test_in_the_short_suite():
    check_every([text for text in PROMISES if "**Held by**" in text], is_held_by_short_tests, lambda text: text.splitlines()[0])
