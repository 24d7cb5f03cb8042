"""One value where Halo publishes an array is wrapped, at any depth; nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.catalogue.catalogue import load
from worker.catalogue.members import Schemas
from worker.catalogue.requests import build_request

ROW = {"id": 101, "value": "a"}


def body(entity, payload):
    return build_request(load().find(entity, "POST"), payload=payload).body


@every(
    ("entity", "member"),
    [
        ("Asset", "fields"), ("Asset", "customfields"), ("Asset", "users"), ("Tickets", "customfields"), ("Tickets", "assets"), ("Tickets", "Attachments"),
        ("Client", "customfields"), ("Invoice", "lines"), ("SalesOrder", "lines"), ("PurchaseOrder", "lines"), ("Quotation", "lines"), ("Actions", "customfields"),
    ],
)  # fmt: skip
def test_one_object_becomes_an_array_of_one(entity, member):
    assert body(entity, {member: ROW}) == [{member: [ROW]}]
    assert body(entity, [{member: [ROW, ROW]}, {member: []}, {member: None}]) == [{member: [ROW, ROW]}, {member: []}, {member: None}]


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ({"appointment": {"x": 1}, "child_ticket_ids": 5}, {"appointment": {"x": 1}, "child_ticket_ids": [5]}),
        ({"todo_list": {"id": 1}, "assets": {"id": 2, "fields": ROW}}, {"todo_list": [{"id": 1}], "assets": [{"id": 2, "fields": [ROW]}]}),
        ({"assets": "7"}, {"assets": "7"}),
        ({"unknown": {"customfields": ROW}}, {"unknown": {"customfields": ROW}}),
    ],
)
def test_members_are_wrapped_where_the_schema_says_so(sent, written):
    assert body("Tickets", sent) == [written]


A = Schemas(lambda: {"A": {"[]A": "many", "[]any": "tags", "A": "one"}}).find("A")
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["many", "tags", "one", "other"]), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_wrapping_twice_is_wrapping_once_and_loses_nothing(value):
    wrapped = A.wrap(value)
    assert A.wrap(wrapped) == wrapped
    assert leaves(wrapped) == leaves(value)


def leaves(value):
    """What a value holds, whatever arrays it stands in."""
    if isinstance(value, dict):
        return [(name, leaf) for name, member in value.items() for leaf in leaves(member) or ["empty"]]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]
