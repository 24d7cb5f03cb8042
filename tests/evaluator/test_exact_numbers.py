"""Numbers that the engine's doubles do not hold pass expressions unchanged; a result that would depend on their lost digits is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.evaluating import InProcess, now
from tests.tools.every import every
from worker.config.expressions import compile_template
from worker.core.errors import ConfigError, ExpressionError, ExpressionFailed
from worker.core.evaluation import Question
from worker.core.json_codec import decode

DOCUMENT = b"""{"iccid": 8944501234567890123, "even": 9007199254740994, "next": 9007199254740993, "hours": 33.333333333333333333333333333, "k": 5, "s": "x",
  "rows": [{"n": 12345678901234567890123}, {"n": 2}]}"""
CONTEXT = decode(DOCUMENT)
REFUSED = (
    "the number in {} has more digits than expressions calculate with (2^53, or 15 digits), and the result would hold another one: "
    "let its path alone be the value of a member, or have it sent as text"
)


@pytest.fixture(params=["in this process", "in its own"])
def either(request):
    return InProcess() if request.param == "in this process" else request.getfixturevalue("evaluator")


@every(
    ("text", "value"),
    [
        ("(iccid)", 8944501234567890123),
        ('{"a": iccid, "b": [next, even]}', {"a": 8944501234567890123, "b": [9007199254740993, 9007199254740994]}),
        ("($)", CONTEXT),
        ("$merge([$, {'k': k / 2}]).hours", Decimal("33.333333333333333333333333333")),
        ("rows.n", [Decimal(12345678901234567890123), 2]),
        ("$map(rows, function($row) { $row.n })", [Decimal(12345678901234567890123), 2]),
        ("iccid + 0", 8944501234567890123),
        ("iccid = iccid", True),
        ("next = even", False),
        ("iccid > 5", True),
        ("hours > 33", True),
        ("$round(hours, 2)", 33.33),
        ("$floor(hours)", 33),
        ("iccid ? 'y' : 'n'", "y"),
        ("$count($keys($))", 7),
        ("k & s", "5x"),
        ("$type(iccid) = 'number' and k + 1 = 6", True),
        ("$contains($string($), 'hours')", True),
        ("{'a': iccid, 'b': $uppercase(s), 'c': k % 2 = 1}", {"a": 8944501234567890123, "b": "X", "c": True}),
        ("$random() < 1 and $now() != s", True),
    ],
)
async def test_what_does_not_depend_on_lost_digits_is_exact(either, text, value):
    assert await either.answer(Question((text,), CONTEXT, {})) == [value]


@every(
    ("text", "member"),
    [
        ("'SIM ' & iccid", "iccid"),
        ("$string(next)", "next"),
        ("iccid + 1", "iccid"),
        ("iccid % 2", "iccid"),
        ("$length($string(iccid))", "iccid"),
        ("hours * 2", "hours"),
        ("$max(rows.n)", "rows[0].n"),
        ("$sum(rows.n)", "rows[0].n"),
        ("$sort([next, even])", "even"),
        ("$now() & iccid", "iccid"),
        ("$string(iccid) = '8944501234567890123'", "iccid"),
        ("$contains($string(iccid), '8944')", "iccid"),
        ("$substring(iccid & '', 0, 4) = '8944'", "iccid"),
        ("$length($string(iccid)) = 19", "iccid"),
        ("$formatNumber(iccid, '0') = '8944501234567890123'", "iccid"),
        ("$formatBase(iccid, 10) = '8944501234567890123'", "iccid"),
        ("iccid % 10 = 3", "iccid"),
        ("(iccid % 2) in [0, 1]", "iccid"),
        ("even - next = 1", "even"),
        ("even - next > 0", "even"),
        ("even = next + 1", "next"),
        ("$sum([next, 1]) = even", "next"),
        ("$string($h.id) = '1152921504606846977' ? 1 : 2", "$h.id"),
        ("$string($)", "iccid"),
        ("$h.id & ''", "$h.id"),
    ],
)
async def test_what_depends_on_lost_digits_is_refused_with_the_member(either, text, member):
    with pytest.raises(ExpressionFailed) as refused:
        await either.answer(Question(("k", text), CONTEXT, {"h": {"id": 2**60 + 1}}))
    assert (str(refused.value), refused.value.index) == (REFUSED.format(member), 1)


async def test_an_error_of_the_expression_itself_keeps_its_own_sentence(either):
    with pytest.raises(ExpressionFailed, match=r"^a serial number is needed \(D3137\)$"):
        await either.answer(Question(("$exists(serial) ? 1 : $error('a serial number is needed')",), CONTEXT, {}))


async def test_a_number_that_the_expression_makes_beyond_2_to_the_53_is_refused(either):
    for text in ("$number('8944501234567890123')", "k * 9007199254740991", "-k * 9007199254740991"):
        with pytest.raises(ExpressionFailed, match=r"^a number in the result is beyond 2\^53"):
            await either.answer(Question((text,), {"k": 5}, {}))


@pytest.mark.parametrize("text", ["8944501234567890123", "9007199254740993", "k = 0.12345678901234567890", "1e300"])
def test_a_literal_that_the_engine_would_change_is_refused_by_check(text):
    with pytest.raises(ConfigError, match=r"write this number as text"):
        compile_template(f"{{{{ k + {text} }}}}")


@given(st.integers(2**53 + 1, 2**70) | st.decimals(allow_nan=False, allow_infinity=False, places=25, min_value=-(10**6), max_value=10**6))
def test_any_number_passes_as_a_value_and_never_comes_out_as_another_one(number):
    context = decode(f'{{"n": {number:f}}}'.encode()) if isinstance(number, Decimal) else decode(f'{{"n": {number}}}'.encode())
    assert now(InProcess().answer(Question(("(n)",), context, {}))) == [context["n"]]
    try:
        (text,) = now(InProcess().answer(Question(("n & ''",), context, {})))
    except ExpressionError:
        return
    assert isinstance(context["n"], (int, float)), "a number beyond doubles has no text in an expression"
    assert abs(Decimal(text) - Decimal(number)) <= abs(Decimal(number)) * Decimal("1e-14"), "JSONata writes 15 digits of a double"
