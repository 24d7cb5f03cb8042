"""Halo's error bodies as sentences, and what must not be in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.halo.error_text import LIMIT, explain

EXCEPTION = {
    "ClassName": "System.Exception",
    "Message": "You do not have access to this Action at the moment",
    "Data": None,
    "StackTraceString": "at Halo.Actions.Save() in C:\\build\\Actions.cs:line 4711",
    "HResult": -2146233088,
}


@every(
    ("body", "sentence"),
    [
        ("Name must be unique", "Name must be unique"),
        (EXCEPTION, "You do not have access to this Action at the moment"),
        ({"error": "Please enter a valid URL"}, "Please enter a valid URL"),
        ({"resultCode": 12, "errorMessage": "A Site must be selected"}, "A Site must be selected"),
        ({"Message": "Username must be entered"}, "Username must be entered"),
        (
            {"[0].outcome_id": ["Could not convert string to integer: Jane Roe. Path '[0].outcome_id', line 1, position 139."]},
            "[0].outcome_id: Could not convert string to integer",
        ),
        ({"id": ["The value 'jane@acme.example' is not valid."]}, "id: The value … is not valid."),
        (
            {"[0].client_id": ["Error converting value \"Jane Roe\" to type 'System.Int32'. Path '[0].client_id', line 1, position 9."]},
            "[0].client_id: Error converting value … to type …",
        ),
        (
            {
                "title": "One or more validation errors occurred.",
                "status": 400,
                "errors": {"$[0].id": ["The JSON value could not be converted. Path: $[0].id"]},
            },
            "$[0].id: The JSON value could not be converted",
        ),
        ({"Jane Roe": ["The value is not valid."]}, "…: The value is not valid."),
        ("Asset 'ACME-LAP-01' already belongs to user jane.roe@acme.example, call +44 20 7946 0958", "Asset … already belongs to user … call …"),
        ("The user's token 4f9c0a52b7de4418a3cc0f3e99 was not found", "The user's token … was not found"),
        ("first line\r\n\tsecond", "first line second"),
        ([1, 2], ""),
        ({}, ""),
        (None, ""),
        (17, ""),
    ],
)
def test_a_json_error_body_becomes_a_sentence_without_customer_data(body, sentence):
    assert explain(json.dumps(body).encode()) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, ""),
        (b"", ""),
        (b"  \r\n", ""),
        (b"<html><body>Bad Gateway, ask jane</body></html>", ""),
        (b"Rate Limit Reached - 300 Requests per rolling 5 minute window", "Rate Limit Reached - 300 Requests per rolling 5 minute window"),
        (b"\xff\xfe broken", "�� broken"),
    ],
)
def test_a_body_that_is_not_json_is_told_unless_it_is_a_page(body, sentence):
    assert explain(body) == sentence


def test_many_refused_members_are_counted_not_listed():
    body = {f"[0].m{number}": ["The value is not valid."] for number in range(12)}
    assert explain(json.dumps(body).encode()).endswith("[0].m4: The value is not valid. (and 7 more)")


@given(
    st.binary(max_size=400)
    | st.recursive(st.none() | st.text() | st.integers() | st.floats(allow_nan=False), lambda child: st.lists(child) | st.dictionaries(st.text(), child))
    .map(json.dumps)
    .map(str.encode)
)
def test_any_body_gives_one_printable_line(body):
    sentence = explain(body)
    assert sentence.isprintable()
    assert len(sentence) <= LIMIT * 6


@given(st.emails() | st.from_regex(r"[0-9]{7,20}", fullmatch=True) | st.from_regex(r"'[^'\"]{1,20}'", fullmatch=True))
def test_addresses_long_numbers_and_quoted_parts_never_pass(data):
    assert data not in explain(json.dumps({"Message": f"The record {data} exists"}).encode())
