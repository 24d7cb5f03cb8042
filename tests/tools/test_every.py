"""A test over many items names every item that fails."""

from __future__ import annotations

import pytest

from tests.tools.every import check_every


def even(number: int) -> None:
    assert number % 2 == 0, "it is odd"


def test_items_that_are_all_good_pass():
    check_every([2, 4], even)


def test_every_item_that_fails_is_named_with_its_error():
    with pytest.raises(pytest.fail.Exception) as told:
        check_every([1, 2, 3], even, lambda number: f"number {number}")
    first, *others = str(told.value).splitlines()
    assert first == "2 of 3 items fail:"
    assert [line for line in others if line.startswith("number ")] == ["number 1: AssertionError: it is odd", "number 3: AssertionError: it is odd"]


def test_an_error_that_is_no_assertion_counts_as_well():
    with pytest.raises(pytest.fail.Exception, match="x: ValueError"):
        check_every(["x"], lambda text: even(int(text)))


def test_no_item_at_all_fails():
    with pytest.raises(pytest.fail.Exception, match="no item"):
        check_every([], even)


def test_the_rest_of_many_failures_is_counted():
    with pytest.raises(pytest.fail.Exception, match="and 30 more"):
        check_every(range(100), even)
