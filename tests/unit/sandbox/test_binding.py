"""Binding JSON to Halo's types: what it converts, what it refuses, and where it locates the error."""

import pytest

from tests.tools.every import every
from worker.sandbox.binding import BindingError, bind_body

TYPES = {
    "id": "integer",
    "big": "int64",
    "rate": "number",
    "active": "boolean",
    "name": "string",
    "due": "date-time",
    "lines": "array",
    "nested": "object",
}


def bound(member, text, **options):
    return bind_body(f'[{{"{member}":{text}}}]'.encode(), TYPES, array=True, accepts_object=False, **options)[0].get(member)


def message(body, *, array=True):
    with pytest.raises(BindingError) as caught:
        bind_body(body, TYPES, array=array, accepts_object=False)
    return caught.value.errors


@every(
    ("member", "text", "value"),
    [
        ("id", '"7"', 7),
        ("id", "-3", -3),
        ("id", '""', None),
        ("id", "null", None),
        ("big", "3000000000", 3_000_000_000),
        ("rate", '"1.5"', 1.5),
        ("rate", "2", 2),
        ("active", '"TRUE"', True),
        ("active", "0", False),
        ("name", "7", "7"),
        ("name", "true", "true"),
        ("name", "null", None),
        ("due", "null", None),
        ("lines", "[1]", [1]),
        ("nested", '{"a":1}', {"a": 1}),
        ("_any_control", "[1]", [1]),
        ("unknown", "1", None),
    ],
)
def test_values_are_converted_as_halo_does(member, text, value):
    assert bound(member, text) == value


@every(
    ("member", "text", "beginning"),
    [
        ("id", '"abc"', "Could not convert string to integer: abc."),
        ("id", '"95.0"', "Could not convert string to integer: 95.0."),
        ("id", "95.0", "Input string '95.0' is not a valid integer."),
        ("id", "3000000000", "JSON integer 3000000000 is too large or small for an Int32."),
        ("id", "true", "Unexpected character encountered while parsing value: t."),
        ("rate", '"x"', "Could not convert string to double: x."),
        ("rate", "[]", "Unexpected character encountered while parsing value: [."),
        ("active", '"yes"', "Could not convert string to boolean: yes."),
        ("name", '{"a":1}', "Unexpected character encountered while parsing value: {."),
        ("due", '"soon"', "Could not convert string to DateTime: soon."),
        ("due", '"2026-13-01"', "Could not convert string to DateTime: 2026-13-01."),
        ("lines", '{"a":1}', "Cannot deserialize the current JSON object"),
        ("nested", "[1]", "Cannot deserialize the current JSON array"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_halos_words(member, text, beginning):
    errors = message(f'[{{"{member}":{text}}}]'.encode())
    assert errors[f"[0].{member}"][0].startswith(beginning)


def test_every_error_names_the_line_and_the_position_where_the_value_ends():
    body = b'[\n  {"name": "a,]}", "id": "x"},\n  {"id": 1},\n  {"Rate" : "y"}\n]'
    assert message(body) == {
        "[0].id": ["Could not convert string to integer: x. Path '[0].id', line 2, position 28."],
        "[2].Rate": ["Could not convert string to double: y. Path '[2].Rate', line 4, position 15."],
    }


def test_names_of_members_are_matched_without_regard_to_case():
    assert bind_body(b'[{"NAME":"a"}]', TYPES, array=True, accepts_object=False) == [{"name": "a"}]


def test_an_object_endpoint_names_members_without_an_index():
    assert bind_body(b'{"id":"4"}', TYPES, array=False, accepts_object=False) == [{"id": 4}]
    assert message(b'{"id":"x"}', array=False) == {"id": ["Could not convert string to integer: x. Path 'id', line 1, position 9."]}
    assert "requires a JSON object" in message(b"[]", array=False)[""][0]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "parsing value"),
        (b"{", "parsing value"),
        (b"{}", "requires a JSON array"),
        (b'"x"', "requires a JSON array"),
        (b"[" * 70 + b"]" * 70, "MaxDepth of 64"),
    ],
)
def test_what_is_not_an_array_of_objects_is_refused_whole(body, part):
    assert part in message(body)[""][0]


def test_items_that_are_no_objects_are_named():
    assert list(message(b'[{"id":1}, 7]')) == ["[1]"]
