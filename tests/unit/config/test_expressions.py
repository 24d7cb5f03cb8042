"""What templates and conditions yield, and what they say when they cannot."""

import math
from bisect import bisect_left
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.evaluating import InProcess, evaluated, holds, now
from tests.tools.every import every
from worker.config.expressions import compile_condition, compile_expression, compile_template
from worker.config.paths import NotSimple, PathScope, simple_path
from worker.core.errors import ConfigError, ExpressionError
from worker.core.evaluation import UNDEFINED, Question
from worker.evaluator.jsonata import EvaluationInput
from worker.evaluator.jsonata import Expression as Engine
from worker.evaluator.limits import MAX_INPUT
from worker.evaluator.sizes import context_json

RECORD = {
    "id": 7,
    "name": "Ann",
    "price": 1.5,
    "whole": 3.0,
    "nil": None,
    "yes": True,
    "tags": ["a", "b"],
    "one": ["a"],
    "in": {"er": {"x": 1}},
    "true": "a member",
    "rows": [{"n": 1}, {"n": 2}],
}


def evaluate(template, context=RECORD, **bindings):
    return evaluated(compile_template(template), context, bindings)


@every(
    ("expression", "value"),
    [
        ("id", 7),
        ("$", RECORD),
        ("$.in.er.x", 1),
        ("price", 1.5),
        ("yes", True),
        ("nil", None),
        ("missing", None),
        ("missing.deeper", None),
        ("true", True),
        ("null", None),
        ("`true`", "a member"),
        ("in.er.x", 1),
        ("name.deeper", None),
        ("tags", ["a", "b"]),
        ("one", ["a"]),
        ("rows.n", [1, 2]),
        ("$uppercase(name)", "ANN"),
        ('{"a": missing, "b": nil}', {"b": None}),
        ("$sum(rows.n) = 3", True),
        ('$pad("x", 3) & "|"', "x  |"),
        ('$pad("x", -3, "ab")', "abx"),
        ('"x" ~> $pad(2) ~> $length()', 2),
        ("$random() < 1", True),
        ("($f := function($x){$x * 2}; $f(id))", 14),
    ],
)
def test_a_whole_expression_keeps_the_type_of_its_value(expression, value):
    assert evaluate(f"{{{{ {expression} }}}}") == value


@every(
    ("text", "result"),
    [
        ("#{{ id }}", "#7"),
        ("{{ name }} ({{ price }})", "Ann (1.5)"),
        ("{{ whole }}x", "3x"),
        ("{{ $sum([1.5, 1.5]) }}x", "3x"),
        ("<{{ nil }}{{ missing }}>", "<>"),
        ("is {{ yes }}", "is true"),
        ("has {{ tags }}", 'has ["a","b"]'),
        ("has {{ in }}", 'has {"er":{"x":1}}'),
        ("no expression", "no expression"),
        ("  {{ name }} ", "Ann"),
        ('{{ "{{" }} stays', "{{ stays"),
    ],
)
def test_inside_longer_text_the_result_is_put_in_as_text(text, result):
    assert evaluate(text) == result


def test_a_mapping_may_hold_expressions_at_any_depth():
    template = {"a": {"b": ["{{ id }}", {"c": "{{ name }}!"}]}, "d": 5, "e": None, "f": False}
    assert evaluate(template) == {"a": {"b": [7, {"c": "Ann!"}]}, "d": 5, "e": None, "f": False}


def test_members_that_yield_nothing_are_left_out_and_null_stays_null():
    template = {
        "gone": "{{ missing }}",
        "also": "{{ $lookup($, 'no') }}",
        "null": "{{ nil }}",
        "text": "{{ missing }} x",
        "list": ["{{ missing }}", "{{ nil }}", 1],
    }
    assert evaluate(template) == {"null": None, "text": " x", "list": [None, 1]}


def test_bindings_are_variables_and_one_that_is_absent_is_nothing():
    template = {"h": "{{ $headers.`order-id` }}", "m": "{{ $message.attempt + 1 }}", "c": "{{ $change }}", "p": "{{ $parent.id }}"}
    assert evaluate(template, headers={"order-id": "A1"}, message={"attempt": 2}, change="created") == {"h": "A1", "m": 3, "c": "created"}


def test_headers_are_usable_whatever_amqp_types_they_have():
    at = datetime(2026, 1, 31, 8, tzinfo=UTC)
    headers = {
        "at": at,
        "raw": b"a\xff",
        "n": Decimal(2),
        "d": Decimal("0.5"),
        "t": (1, at),
        "x-death": [{"time": at, "count": 3}],
        "map": MappingProxyType({"a": 1}),
    }
    template = {name: f"{{{{ $headers.{name} }}}}" for name in ("at", "raw", "n", "d", "t", "map")}
    time = "2026-01-31T08:00:00+00:00"
    assert evaluate(template, headers=MappingProxyType(headers)) == {"at": time, "raw": "a\ufffd", "n": 2, "d": 0.5, "t": [1, time], "map": {"a": 1}}
    assert evaluate("{{ $headers.`x-death`[0].count + $headers.n }}", headers=headers) == 5
    assert evaluate("at {{ $headers.at }}", headers=headers) == f"at {time}"


def test_integers_of_any_size_stay_exact_where_a_value_is_only_passed_through():
    record = {"big": 2**53 + 1, "deep": {"big": -(2**62) - 1}}
    template = {"a": "{{ big }}", "b": "{{ $.deep }}", "c": "n{{ deep.big }}", "h": "{{ $headers.n }}"}
    assert evaluate(template, record, headers={"n": 2**64}) == {"a": 2**53 + 1, "b": {"big": -(2**62) - 1}, "c": f"n{-(2**62) - 1}", "h": 2**64}


def test_integers_that_are_calculated_with_are_exact_or_refused():
    assert evaluate("{{ n + 0 }}", {"n": 2**53 + 1}) == 2**53 + 1
    with pytest.raises(ExpressionError, match="the number in n has more digits than expressions calculate with"):
        evaluate("{{ n + 1 }}", {"n": 2**53 + 1})


@every("text", ["id = 7", "{{ id = 7 }}", " {{\n id = 7 }}\n", "name", "rows", "in", "price > 1 and $exists(nil)", "$contains(name, /^a/i)"])
def test_a_condition_holds(text):
    assert holds(compile_condition(text), RECORD, {}) is True


@every("text", ["id = 8", "missing", "nil", '""', "0", "[]", "{}", "missing > 1", "missing.x = 1", "$not(yes)", "[0, false]", "$boolean(missing)"])
def test_a_condition_does_not_hold(text):
    assert holds(compile_condition(text), RECORD, {}) is False


def test_a_bare_text_is_one_expression_that_yields_the_whole_document():
    text = """
    {
      "payload": {"n": $count(rows), "curly": {"a": {}}}  /* }} */
    }
    """
    assert evaluated(compile_expression(text), RECORD, {}) == {"payload": {"n": 2, "curly": {"a": {}}}}
    assert evaluated(compile_expression("{{" + text + "}}"), RECORD, {}) == {"payload": {"n": 2, "curly": {"a": {}}}}


@every(
    ("expression", "column", "said"),
    [
        ("a b", 6, "`b` is not expected"),
        ("(a", 5, "`)` is expected"),
        ("a + ", 6, "it ends too early"),
        ('{"a" 1}', 9, "`:` is expected"),
        ("a.b[c", 8, "`]` is expected"),
        ("a & 'x\\'y'", 8, "escape that JSON does not know"),
        ("x := 1", 4, "the left side of := is not a variable"),
        ("(1 + $x := 2)", 9, "the left side of := is not a variable"),
        ("$x[$y] := 2", 9, "the left side of := is not a variable"),
        ("", 3, "it ends too early"),
        ("1 + $upcase(a)", 8, "there is no function `$upcase`; did you mean $uppercase?"),
        ("$eval('1')", 4, "`$eval` is not available"),
        ("$map(a, $eval)", 12, "`$eval` is not available"),
        ("(" * 2000, 1003, "too deeply"),
    ],
)
def test_a_mistake_in_an_expression_is_reported_with_its_column(expression, column, said):
    with pytest.raises(ConfigError) as raised:
        compile_template(f"{{{{ {expression} }}}}")
    (problem,) = raised.value.problems
    assert said in problem.message
    assert problem.column == column


@pytest.mark.parametrize(
    "text",
    [
        "[-9007199254740992..9007199254740992]",
        "$formatInteger(2e12, 'I')",
        "$parseInteger('\U0001f600', '1;o')",
        "$distinct([1..99999])",
        "$pad('x', 1e12)",
    ],
)
def test_no_constant_is_evaluated_when_an_expression_is_compiled(text):
    compile_expression(text)


@pytest.mark.parametrize("opening", ["(", "[", "-", "$f := function(){"])
def test_whatever_compiles_can_also_be_evaluated_however_deep_it_is(opening):
    closing = {"(": ")", "[": "]", "-": ""}.get(opening, "}")

    def nested(depth):
        return f"{opening * depth}1{closing * depth}"

    def is_too_deep(depth):
        try:
            compile_expression(nested(depth))
        except ConfigError:
            return True
        return False

    depths = range(1, 1100)
    first = bisect_left(depths, True, key=is_too_deep)
    assert 2 < first < len(depths), "some are taken and some are too deep"
    for depth in depths[first - 3 : first]:
        Engine(nested(depth))


def test_a_mistake_early_in_a_long_expression_is_found_there_and_soon():
    with pytest.raises(ConfigError) as raised:
        compile_expression("[1 2, " + ", ".join(map(str, range(10_000))) + "]")
    (problem,) = raised.value.problems
    assert problem.column == 4
    with pytest.raises(ConfigError, match="at most 65,536 are taken"):
        compile_expression(f"'{'x' * 65_536}'")


def test_every_mistake_of_a_mapping_is_reported():
    with pytest.raises(ConfigError) as raised:
        compile_template({"a": "{{ x + }}", "b": ["{{ y", "{{ ok }}", "{{ $nope() }}"]})
    assert len(raised.value.problems) == 3


def test_a_function_that_the_expression_defines_is_no_mistake():
    assert evaluate("{{ ($double := function($n){$n * 2}; $double(id)) }}") == 14
    assert evaluate("{{ (function($g){ $g(2) })(function($n){$n + 1}) }}") == 3


SECRET = "s3cr3t-customer-data"


@every(
    "expression",
    [
        "$number(s)",
        "$toMillis(s)",
        "s + 1",
        "$error('about ' & s)",
        "$assert(false, s)",
        "{n: 1}",
        "$sqrt(-n)",
        "$uppercase({'a': s})",
        "s(1)",
        "$decodeUrl('%E0%A4%A' & s)",
        "$formatNumber(n, s & ';;;')",
        "$replace(s, 's', 3)",
        "$pad(s, 1e12)",
        "$pad(n, s)",
        "[1..s]",
        "n / 0",
        "{'a': [n / 0]}",
        "s < 1",
        "$single([s, s])",
        "$formatBase(n, 1000)",
        "$fromMillis(n, s & '[')",
        "$join([s, n])",
    ],
)
def test_an_error_never_quotes_data(expression):
    with pytest.raises(ExpressionError) as raised:
        evaluate(f"{{{{ {expression} }}}}", {"s": SECRET, "n": 48151623})
    assert "s3cr3t" not in str(raised.value)
    assert "48151623" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@every(
    ("expression", "said"),
    [
        ("$match(s, /x*/)", "a regular expression matches the empty text (D1004): `/x*/`"),
        ("$replace(s, /x*/, 'a') & $match(s, /s+/).match", "(D1004): `/x*/` or `/s+/`"),
        ("$toMillis(s, '[M01]:[Y') & 'never compiled by check'", "(D3135): `[M01]:[Y` of $toMillis"),
        ("$formatNumber(n, picture)", "(D3081): the picture that $formatNumber is given at run time"),
        ("n ~> $fromMillis('[' & 'Y')", "(D3135): the picture that $fromMillis is given at run time"),
        ("$fromMillis(n, unknown)", "(D3132): the picture that $fromMillis is given at run time"),
        ("[n].$fromMillis($, $$.unknown & '')", "(D3132): the picture that $fromMillis is given at run time"),
        ("$contains(s, /(?=s)/)", "a regular expression cannot be used: `/(?=s)/`"),
    ],
)
def test_an_error_of_a_run_names_the_regular_expression_or_the_picture_but_no_data(expression, said):
    """Also of one that `check` has not seen: the process for expressions takes any text."""
    with pytest.raises(ExpressionError) as raised:
        Engine(expression).evaluate(EvaluationInput(context_json({"s": SECRET, "n": 48151623, "picture": "#,#0.0.0", "unknown": "[Q99]"}), 5), {})
    assert said in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert "#,#0" not in str(raised.value)


@every(
    "expression",
    [
        "$contains(s, /a[bc]/i)",
        "a / b / c",
        "$split(s, / /)",
        "$replace(s, /(\\d+)-(\\d+)/m, '$2-$1')",
        "$fromMillis(n, '[FNn], [D1o] [MNn] [Y0001] [[at]] [h#1]:[m01][PN] [Z]', '+0100')",
        "$toMillis(s, '[D01]/[M01]/[Y0001] [H01]:[m01]')",
        "$toMillis('[Y')",
        "$fromMillis(n, picture)",
        "$formatNumber(n, '#.##0,00', {'decimal-separator': ',', 'grouping-separator': '.'})",
        "$formatNumber(n, '0.0,0', options)",
        "$formatInteger(n, 'w') & $parseInteger(s, 'I')",
        "($picture := '[Y'; $picture := '[Y]'; $fromMillis(n, $picture))",
        "($f := function($picture){ $fromMillis(n, $picture) }; $f('[Y]'))",
        "'[Q99]' & $fromMillis(n, '[Y]')",
    ],
)
def test_literals_that_are_right_or_known_at_run_time_only_are_no_mistake(expression):
    compile_expression(expression)


@every(
    ("expression", "value"),
    [
        ("$fromMillis(n, p)", "1970"),
        ("$fromMillis(n, absent)", "1970-01-01T00:00:00.000Z"),
        ("$fromMillis(absent, p)", UNDEFINED),
        ("n ~> $fromMillis(p & '-[M01]')", "1970-01"),
        ("$fromMillis(n, /* here */ yes ? p : '[D]')", "1970"),
        ("$fromMillis(n, $fromMillis(n, q))", "1970 is a year"),
        ("rows.$fromMillis(n, p)", ["1970", "01"]),
        ("$map(rows, function($row){ $fromMillis($row.n, $row.p, '+0100') })", ["1970", "01"]),
    ],
)
def test_a_picture_that_a_run_gives_is_used_as_it_is(expression, value):
    given = {"n": 0, "p": "[Y]", "q": "[[Y]] is a year", "yes": True, "rows": [{"n": 0, "p": "[Y]"}, {"n": 1, "p": "[M01]"}]}
    assert Engine(expression).evaluate(EvaluationInput(context_json(given), 5), {}) == value


def test_an_error_keeps_what_the_author_of_the_expression_wrote():
    with pytest.raises(ExpressionError, match="a serial number is needed"):
        evaluate("{{ $exists(serial) ? serial : $error('a serial number is needed') }}")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("($f := function($n){$f($n + 1)}; $f(1))", "longer than allowed"),
        ("($f := function($n){1 + $f($n + 1)}; $f(1))", "recurses too deeply"),
        ("$map([1..200000], function($i){$i})", "a sequence became longer"),
        ("$join([1..90000].$pad('x', 100))", "bytes as JSON"),
    ],
)
def test_an_expression_cannot_run_away(expression, said):
    patient = InProcess(seconds=0.5 if "longer" in said else 60.0)
    with pytest.raises(ExpressionError, match=said):
        now(compile_template(f"{{{{ {expression} }}}}").evaluate(RECORD, {}, patient))


def test_all_expressions_of_a_template_share_one_time_limit():
    slow = "{{ $sum($map([1..50000], function($i){$i * $i})) }}"
    with pytest.raises(ExpressionError, match="longer than allowed"):
        now(compile_template([slow, slow]).evaluate(RECORD, {}, InProcess(seconds=0.0)))


def test_all_expressions_of_a_template_are_one_question_and_those_that_only_name_a_value_are_none():
    evaluator = InProcess()
    template = compile_template(
        {"a": "{{ id }}", "b": "{{ $uppercase(name) }}", "c": ["x {{ id + $n }}", "{{ rows.n }}"], "d": "{{ $headers.x }}", "e": "text"}
    )
    value = now(template.evaluate(RECORD, {"n": 1, "headers": {"x": b"y"}}, evaluator))
    assert value == {"a": 7, "b": "ANN", "c": ["x 8", [1, 2]], "d": "y", "e": "text"}
    assert evaluator.questions == [Question((" $uppercase(name) ", " id + $n ", " rows.n "), RECORD, {"n": 1})]
    assert now(compile_template({"a": "{{ id }}", "b": "{{ $headers.x }}"}).evaluate(RECORD, {"headers": {"x": 1}}, evaluator)) == {"a": 7, "b": 1}
    assert len(evaluator.questions) == 1


def test_too_large_a_context_is_refused_but_passed_through():
    record = {"text": "x" * (MAX_INPUT + 1), "n": 1}
    assert evaluate("{{ n }}", record) == 1
    with pytest.raises(ExpressionError, match="the input has"):
        evaluate("{{ n + 1 }}", record)


def test_a_value_that_json_cannot_hold_is_refused_without_quoting_it():
    with pytest.raises(ExpressionError, match="the number in n has more digits"):
        evaluate("{{ n + 1 }}", {"n": 2**70})
    with pytest.raises(ExpressionError, match="cannot be written as JSON"):
        evaluate("{{ n + 1 }}", {"n": "\ud800"})
    with pytest.raises(ExpressionError):
        evaluate("{{ $headers.x & 'y' }}", headers={"x": 2**70})


def test_the_context_is_not_changed():
    record = orjson.loads(orjson.dumps(RECORD))
    evaluate(["{{ $merge([$, {'id': 8}]) }}", "{{ $ ~> |$|{'id': 9}| }}", "{{ $sort(tags) }}"], record)
    assert record == RECORD


NAMES = st.sampled_from(["a", "b", "c d", "in"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9).map(lambda x: round(x, 3)) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def engine_says(text, context):
    (value,) = now(InProcess().answer(Question((text,), context, {})))
    return value


@given(st.lists(NAMES, min_size=1, max_size=3), st.dictionaries(NAMES, VALUES, max_size=3))
def test_paths_read_without_the_engine_yield_what_the_engine_does(names, context):
    text = ".".join(f"`{name}`" for name in names)
    path = simple_path(text)
    assert path is not None
    given_ = PathScope(context, {})
    try:
        found = path.read(given_)
    except NotSimple:
        return
    expected = engine_says(text, context)
    assert (found is UNDEFINED) == (expected is UNDEFINED)
    if found is not UNDEFINED:
        assert math.isclose(found, expected) if isinstance(found, float) else found == expected


@given(VALUES)
def test_truth_is_what_the_engine_says(value):
    expected = engine_says("$boolean(v)", {"v": value})
    assert holds(compile_condition("v"), {"v": value}, {}) is (expected is True)


@given(st.text())
def test_text_without_braces_comes_back_as_it_is(text):
    text = text.replace("{{", "")
    assert evaluate(text) == text


@given(st.text(alphabet="{}()[]\"'`/\\*$ab01.,:;?&= \n+-"))
def test_any_text_compiles_or_is_refused_with_a_sentence(text):
    for compile_ in (compile_template, compile_expression, compile_condition):
        with suppress(ConfigError):
            compile_(text)
