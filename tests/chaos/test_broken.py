"""The table of safeguards that are taken out fits the code: each can be taken out, and the tests that must turn red exist."""

from __future__ import annotations

from tests.chaos.broken import BREAKS, TOP, Break
from tests.tools.every import check_every
from tests.tools.sizes import short_tests


def can_be_taken_out(breaking: Break) -> None:
    assert (TOP / breaking.file).read_text("utf-8").count(breaking.old) == 1
    assert breaking.new != breaking.old


def is_missed_by_tests(breaking: Break) -> None:
    for test in breaking.tests:
        path, _, name = test.partition("::")
        text = (TOP / path).read_text("utf-8")
        assert f"def {name}(" in text or not name


def test_every_safeguard_can_be_taken_out_at_one_place():
    check_every(BREAKS, can_be_taken_out, lambda breaking: breaking.safeguard)


def test_the_tests_that_miss_a_safeguard_exist():
    check_every(BREAKS, is_missed_by_tests, lambda breaking: breaking.safeguard)


def is_missed_by_short_tests(breaking: Break) -> None:
    named = [test.partition("::") for test in breaking.tests]
    assert [name for path, _, name in named if name and name not in short_tests(TOP / path)] == []


def test_make_test_runs_every_test_that_misses_a_safeguard():
    check_every(BREAKS, is_missed_by_short_tests, lambda breaking: breaking.safeguard)
