"""Objects, arrays and literals that expressions write out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.config.config_node import ConfigNode, RouteFile
from worker.config.constructors import parse_constructor
from worker.config.documents import SourcePosition
from worker.config.interpolation import Variables


def read(text, tmp_path):
    node = ConfigNode(RouteFile("a.yaml", text, Variables({}, tmp_path)), ("publishers", "a", "transform"), text)
    return parse_constructor(text, SourcePosition(node), 0)


def plain(value):
    """The value as JSON, `...` for what only a run can tell."""
    match value.kind:
        case "object":
            return {member.name: plain(member.value) for member in value.members} | ({} if value.complete else {"...": "..."})
        case "array":
            return [plain(item) for item in value.items]
        case "choice":
            return ("either", *map(plain, value.items))
        case "literal":
            return value.literal
        case _:
            return ...


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": "x", "c": true, "d": null, "e": -2.5}', {"a": 1, "b": "x", "c": True, "d": None, "e": -2.5}),
        ("{'a': b, 'c': b & 'x'}", {"a": ..., "c": ...}),
        ("{'a': {'b': [1, c, {'d': 'e'}]}}", {"a": {"b": [1, ..., {"d": "e"}]}}),
        ("{a: 1, 'b': 2}", {"b": 2, "...": "..."}),
        ("{}", {}),
        ("[]", []),
        ("[1..5]", [...]),
        ("/* why */ {'a': 1} /* so */", {"a": 1}),
        ("({'a': 1})", {"a": 1}),
        ("($x := {'a': 1}; $y := [$x, 2]; {'b': $y, 'c': $x})", {"b": [{"a": 1}, 2], "c": {"a": 1}}),
        ("($x := 1; )", ...),
        ("ok ? {'a': 1} : {'b': 2}", ("either", {"a": 1}, {"b": 2})),
        ("a ? b ? 1 : 2 : 3", ("either", ("either", 1, 2), 3)),
        ("{'a': ok ? 1 : 2, 'b': 3}", {"a": ("either", 1, 2), "b": 3}),
        ("a ?: {'b': 1}", ...),
        ("rows.{'a': b}", {"a": ...}),
        ("$.rows[x = 1].{'a': 1}[]", [{"a": 1}]),
        ("$filter(rows, $f).{'a': 1}", {"a": 1}),
        ("rows{kind: 1}", ...),
        ("{'a': 1}.a", ...),
        ("{'a': 1} ~> $keys", ...),
        ("x = {'a': 1}", ...),
        ("x & rows.{'a': 1}", ...),
        ('{"a": "}", "b": "\\u0041"}', {"a": "}", "b": "A"}),
        ("{'a': /}/, 'b': 1}", {"a": ..., "b": 1}),
        ("$sum(x)", ...),
        ("", ...),
    ],
)
def test_what_an_expression_writes_out_is_read_and_the_rest_is_left_to_a_run(text, value, tmp_path):
    assert plain(read(text, tmp_path)) == value


@given(
    st.lists(st.sampled_from(["{", "}", "[", "]", "(", ")", "'a'", ":", ",", ";", "?", "$x", ":=", ".", "1", "-", "b", "/c/", "[]", "..", "`d`"]), max_size=14)
)
def test_no_text_breaks_the_reader(tmp_path_factory, pieces):
    plain(read(" ".join(pieces), tmp_path_factory.getbasetemp()))


def test_every_value_has_its_place(tmp_path):
    made = read("{'a': {'b': 12}}", tmp_path)
    (outer,) = made.members
    (inner,) = outer.value.members
    assert (outer.spot.offset, inner.spot.offset, inner.value.spot.offset) == (1, 7, 12)
