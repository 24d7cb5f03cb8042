"""A test over many items names every item that fails."""

from __future__ import annotations

import inspect
from enum import Enum

import pytest

from tests.tools.every import check_every, every


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


@every("number, more", [(2, 4), (1, 3), (4, 2)])
def of_each(number, more, tmp_path):
    assert tmp_path == "a fixture"
    assert (number + more) % 2 == 1, "it is even"


def test_one_test_over_many_values_names_those_that_fail_and_has_its_other_arguments_as_fixtures():
    assert list(inspect.signature(of_each).parameters) == ["tmp_path"]
    with pytest.raises(pytest.fail.Exception, match=r"3 of 3 items fail:\nnumber=2, more=4: AssertionError: it is even"):
        of_each(tmp_path="a fixture")


@every("letter", "xy", ids=["the x", "the y"])
@every("number", [1, 2])
async def test_values_of_several_kinds_are_all_tried(letter, number, tmp_path):
    """Once each, or the file would be there."""
    (tmp_path / f"{letter}{number}").touch(exist_ok=False)
    if (letter, number) == ("y", 2):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x1", "x2", "y1", "y2"]


async def test_a_check_that_expects_an_error_and_meets_none_is_named_too():
    @every("text", ["1", "x"], ids=str.upper)
    async def refused(text):
        with pytest.raises(ValueError, match="x"):
            int(text)

    with pytest.raises(pytest.fail.Exception, match="1 of 2 items fail:\n1: Failed: DID NOT RAISE"):
        await refused()


def test_values_that_are_given_as_a_function_are_made_when_the_test_runs():
    made = []

    @every("number", lambda: made.append("now") or [1, 2])
    def of_some(number):
        assert number == 2

    assert made == []
    with pytest.raises(pytest.fail.Exception, match="1 of 2 items fail:\nnumber=1: AssertionError"):
        of_some()
    assert made == ["now"]


class Size(Enum):
    SMALL = 1
    LARGE = 2


@every("size", Size)
def test_the_members_of_an_enumeration_are_values_though_it_can_be_called(size):
    assert size.value
