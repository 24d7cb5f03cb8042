"""Values of calls with variables and expressions in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.tools.evaluating import filled
from tests.tools.every import every
from worker.config.run_templates import compile_run_template, variable_template
from worker.config.run_values import Values
from worker.core.errors import ConfigError, ExpressionError

VALUES = Values(
    variables={
        "Text": 'say "hi"',
        "Plain": 'say "hi"',
        "Number": 7,
        "Big": 2**60 + 1,
        "Rate": 0.5,
        "Flag": True,
        "Null": None,
        "List": [1, "a"],
        "Object": {"a": "é"},
        "First Name": "Ann",
        "a.b-c_d": 1,
        "Straße": "x",
    },
    plain=frozenset(("Plain", "Number")),
    status=200,
    response={"id": 5, "lines": ["x", "y"]},
    request={"ticket": {"id": 12, "summary": "Printer"}},
)
FILLED = [
    ("plain text", "plain text"),
    (5, 5),
    (None, None),
    (True, True),
    ("", ""),
    # one variable alone keeps its type
    ("<<Text>>", 'say "hi"'),
    ("<<Plain>>", 'say "hi"'),
    ("<<Number>>", 7),
    ("<<Big>>", 2**60 + 1),
    ("<<Flag>>", True),
    ("<<Null>>", None),
    ("<<List>>", [1, "a"]),
    ("<<Object>>", {"a": "é"}),
    (" <<Number>>\n", 7),
    ("<<First Name>>", "Ann"),
    ("<< First Name >>", "Ann"),
    ("<<a.b-c_d>>", 1),
    ("<<Straße>>", "x"),
    # inside longer text it is its JSON text, or plain text
    ('{"prompt": <<Text>>}', '{"prompt": "say \\"hi\\""}'),
    ("he: <<Plain>>", 'he: say "hi"'),
    ("<<Number>><<Number>>", "77"),
    ("n=<<Number>>", "n=7"),
    ("<<Rate>>!", "0.5!"),
    ("is <<Flag>>", "is true"),
    ("is <<Null>>", "is null"),
    ("<<List>>,<<Object>>", '[1,"a"],{"a":"é"}'),
    # JSONata beside them
    ("{{ Number + 1 }}", 8),
    ("{{ status }}", 200),
    ("{{ response.lines }}", ["x", "y"]),
    ("{{ request.ticket.summary }}", "Printer"),
    ("{{ `First Name` & '!' }}", "Ann!"),
    ("#{{ request.ticket.id }}: <<Plain>>", '#12: say "hi"'),
    ("{{ '<<' }}b>>", "<<b>>"),
    ("a >> b", "a >> b"),
    ("a < b", "a < b"),
    # the payloads
    ("<<request>>", {"ticket": {"id": 12, "summary": "Printer"}}),
    ("<<request^ticket^id>>", 12),
    ("ticket <<request^ticket^summary!>>", "ticket Printer"),
    ("ticket <<request^ticket^summary>>", 'ticket "Printer"'),
    ("<<response^lines[1]>>", "y"),
    # at any depth
    ({"a": ["<<Number>>", {"b": "{{ status }}", "c": "x<<Number>>"}], "d": None}, {"a": [7, {"b": 200, "c": "x7"}], "d": None}),
    ({"a": "{{ nothing }}", "b": "<<Null>>"}, {"b": None}),
    (["{{ nothing }}", 1], [1]),
]


@every(("value", "expected"), FILLED, ids=lambda value: str(value)[:40])
def test_a_value_is_filled(value, expected):
    found = filled(compile_run_template(value), VALUES)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("<<Gone>>", None), ("a<<Gone>>b", "ab"), ({"a": "<<Gone>>"}, {"a": None}), ("<<request^gone>>", None), ("a<<response^lines[9]>>b", "ab")],
)
def test_a_missing_variable_is_null_or_empty_text_and_a_warning_that_names_it(value, expected):
    with capture_logs() as lines:
        assert filled(compile_run_template(value), VALUES) == expected
    ((event, level, name),) = [(line["event"], line["log_level"], line["variable"]) for line in lines]
    assert (event, level) == ("variable.missing", "warning")
    assert name in str(value)


def test_nothing_is_logged_when_all_is_there():
    with capture_logs() as lines:
        filled(compile_run_template("<<Null>> <<Text>> <<request>>"), VALUES)
    assert lines == []


def test_the_names_are_those_of_the_variables_used():
    value = {"a": "<<One>> <<Two>>", "b": [{"c": "<< One >>", "d": "<<request^x>> {{ Three }}"}]}
    assert compile_run_template(value).names == {"One", "Two"}
    assert variable_template("id").names == {"id"}
    assert filled(variable_template("Number"), VALUES) == 7


@every(
    ("value", "column", "said"),
    [
        ("ab <<Name", 4, "`<<` is not closed"),
        ("<<Name>", 1, "`<<` is not closed"),
        ("a <<>> b", 5, "letters, digits"),
        ("<<a;b>>", 3, "letters, digits"),
        ("<<a^b>>", 3, "letters, digits"),
        ("<<${NAME}>>", 3, "letters, digits"),
        ("<<{{ a }}>>", 1, "`<<` is not closed"),
        ("x <<request^>>", 13, "the name of a member is expected"),
        ("<<response[x]>>", 12, "a number or name=value"),
        ("{{ a", 1, "`}}` is missing"),
        ("<<A>> {{ a b }}", 12, "not valid JSONata"),
        ({"<<A>>": 1}, 0, "only values may"),
        ({"{{ a }}": 1}, 0, "only values may"),
    ],
)
def test_a_mistake_is_reported_at_its_column(value, column, said):
    with pytest.raises(ConfigError) as error:
        compile_run_template(value)
    (problem,) = error.value.problems
    assert said in problem.message
    assert problem.column == (column if column > 1 else 0)


def test_every_mistake_is_reported():
    with pytest.raises(ConfigError) as error:
        compile_run_template({"a": "<<;>>", "b": ["<<", "{{ ) }}"]})
    assert len(error.value.problems) == 3


def test_an_expression_that_fails_says_so_without_data():
    with pytest.raises(ExpressionError) as error:
        filled(compile_run_template("{{ Text + 1 }}"), VALUES)
    assert "hi" not in str(error.value)


@given(st.text() | st.lists(st.sampled_from(["<<", ">>", "A", "request", "^", "{{", "}}", " ", "[", "<"]), max_size=9).map("".join))
def test_any_text_is_refused_or_filled(text):
    try:
        filler = compile_run_template(text)
    except ConfigError:
        return
    if "<<" not in text and "{{" not in text:
        assert filled(filler, VALUES) == text
        assert filler.names == frozenset()
    else:
        with capture_logs():
            filled(filler, VALUES)
