"""What an update changes is told by the values of JSON, whatever Python takes them for."""

from __future__ import annotations

import pytest

from worker.app.planning.differences import member_differences


@pytest.mark.parametrize(
    ("now", "then", "differs"),
    [([1], [True], True), ({"a": [0]}, {"a": [False]}, True), (True, 1, True), (1.0, 1, False), ([1.0], [1], False), (None, "", True)],
)
def test_true_is_no_number_at_any_depth_and_numbers_compare_by_value(now, then, differs):
    assert [each.member for each in member_differences("/Asset/1", {"fields": now}, {"fields": then})] == (["fields"] if differs else [])
