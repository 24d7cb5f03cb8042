"""The table of safeguards that are taken out fits the code: each can be taken out, and the tests that must turn red exist."""

from __future__ import annotations

import pytest

from tests.chaos.broken import BREAKS, TOP, Break


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.safeguard)
def test_a_safeguard_can_be_taken_out_at_one_place(breaking: Break):
    assert (TOP / breaking.file).read_text("utf-8").count(breaking.old) == 1
    assert breaking.new != breaking.old


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda breaking: breaking.safeguard)
def test_the_tests_that_miss_it_exist(breaking: Break):
    for test in breaking.tests:
        path, _, name = test.partition("::")
        text = (TOP / path).read_text("utf-8")
        assert f"def {name}(" in text or not name
