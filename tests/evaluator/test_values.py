"""What an evaluator yields, in the tests' own process and in a process of its own alike: nothing that passes is lost or changed."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from worker.config.expressions import compile_template
from worker.core.errors import ExpressionError, ExpressionFailed
from worker.core.evaluation import UNDEFINED, Question
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import MAX_INPUT, MAX_VALUES, Limits

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@pytest.fixture(params=["in this process", "in its own"])
def either(request):
    return InProcess() if request.param == "in this process" else request.getfixturevalue("evaluator")


async def answer(evaluator, text, context=None, **bindings):
    (value,) = await evaluator.answer(Question((text,), context, bindings))
    return value


@every(
    ("text", "context", "value"),
    [
        ("missing", {}, UNDEFINED),
        ("nil", {"nil": None}, None),
        ("null", {}, None),
        ("$", None, None),
        ("$", 7, 7),
        ("a.b", {"a": [{"b": 1}, {"b": 2}]}, [1, 2]),
        ("n", {"n": 2**53 - 1}, 2**53 - 1),
        ("n + 0.5", {"n": 1}, 1.5),
        ("$n", {}, 2**40),
        ("$h.x", {}, "y"),
        ("'ü' & s", {"s": "\U0001f600\x00"}, "ü\U0001f600\x00"),
        ('$pad("x", 3) & "|"', {}, "x  |"),
        ("$random() < 1", {}, True),
        ('{"a": missing, "b": null}', {}, {"b": None}),
        ("[]", {}, []),
    ],
)
async def test_a_value_comes_as_it_is(either, text, context, value):
    found = await answer(either, text, context, n=2**40, h={"x": "y"})
    assert found is value if value is UNDEFINED or value is None or value is True else (found, type(found)) == (value, type(value))


@every(
    ("text", "context", "said"),
    [
        ("n / 0", {"n": 1}, "a number in the result is not finite (a division by zero?)"),
        ("s + 1", {"s": "planted"}, "the left side of an arithmetic operator is not a number (T2001)"),
        ("$exists(a) ? a : $error('a serial number is needed')", {}, "a serial number is needed (D3137)"),
        ("$error('about ' & s)", {"s": "planted"}, "$error was called (D3137)"),
        ("($f := function($n){1 + $f($n + 1)}; $f(1))", {}, "it recurses too deeply (D1011)"),
        ("$map([1..200000], function($i){$i})", {}, "a sequence became longer than allowed (D2015)"),
        ("s", {"s": "\ud800"}, "the input cannot be written as JSON"),
        ("s", {"s": "x" * MAX_INPUT}, f"the input has {MAX_INPUT + 8:,} bytes as JSON; an expression takes at most {MAX_INPUT:,}"),
        ("[[1..50000], [1..50001]]", {}, f"the result has {MAX_VALUES + 4:,} values; an expression yields at most {MAX_VALUES:,}"),
    ],
)
async def test_an_error_is_the_same_sentence_and_quotes_no_data(either, text, context, said):
    with pytest.raises(ExpressionFailed) as failed:
        await answer(either, text, context)
    assert (str(failed.value), failed.value.index) == (said, 0)


async def test_several_expressions_are_answered_in_order_and_the_first_that_fails_is_named(either):
    assert await either.answer(Question(("a + 1", "missing", "$n & 'x'"), {"a": 1}, {"n": 5})) == [2, UNDEFINED, "5x"]
    with pytest.raises(ExpressionFailed) as failed:
        await either.answer(Question(("a + 1", "a + s", "a.s + s"), {"a": 1, "s": "x"}, {}))
    assert failed.value.index == 1


async def test_the_place_of_the_expression_that_fails_stands_before_the_sentence(either):
    with pytest.raises(ExpressionError, match=r"^`b`: the expression: the right side of an arithmetic operator is not a number \(T2002\)$"):
        await compile_template({"a": "{{ id }}", "b": "{{ 1 + s }}"}).evaluate({"id": 1, "s": "planted"}, {}, either)


def test_any_value_is_worth_the_same_in_both():
    with asyncio.Runner() as runner:
        opening = open_evaluator(Limits())
        other = runner.run(opening.__aenter__())

        @given(VALUES, VALUES)
        def alike(context, binding):
            question = Question(("$", "$b", "[$, $b]", "$string($b)", "$keys($)", "$type($)"), context, {"b": binding})
            here, there = (runner.run(outcome(each, question)) for each in (InProcess(), other))
            assert same(here, there)

        try:
            alike()
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def outcome(evaluator, question):
    try:
        return await evaluator.answer(question)
    except ExpressionFailed as error:
        return str(error), error.index


def same(left, right):
    """Equal, in their types and signs too."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return left is right if left is UNDEFINED else left == right
