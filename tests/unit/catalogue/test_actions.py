"""The Halo API actions, held against the published API."""

from __future__ import annotations

import pytest

from tests.tools.every import every
from worker.catalogue.actions import ACTIONS, UnknownAction, find_action
from worker.catalogue.catalogue import load
from worker.catalogue.requests import build_request

NAMED = {
    "create_customer",
    "edit_customer",
    "create_site",
    "edit_site",
    "create_user",
    "edit_user",
    "create_asset",
    "edit_asset",
    "create_lookup",
    "edit_lookup",
    "create_kb_article",
    "edit_kb_article",
    "edit_custom_table",
    "create_ticket_rule",
    "edit_ticket_rule",
    "get_control",
    "create_ticket",
    "update_ticket",
    "create_action",
    "create_attachment",
}
each = every("action", ACTIONS.values(), ids=ACTIONS)


def test_the_actions_are_those_of_halo():
    assert set(ACTIONS) == NAMED


@each
def test_its_operation_is_published_and_its_template_can_be_sent(action):
    operation = load().find(action.entity, action.method)
    request = build_request(operation, payload=dict(action.template) if action.method == "POST" else None)
    assert request.path == f"/{action.entity}"
    assert request.body == ([dict(action.template)] if action.method == "POST" else None)


@each
def test_every_member_of_its_template_is_one_of_the_published_body_or_a_control_member(action):
    if action.method == "POST":
        members = load().body_members(load().find(action.entity, "POST"))
        assert [name for name in action.template if name not in members and not name.startswith("_")] == []


@each
def test_its_template_lacks_nothing_that_it_requires(action):
    assert action.missing(action.template) == []


def test_a_note_needs_a_ticket_and_an_outcome_by_name_or_id():
    note = find_action("create_action")
    assert note.missing({"note_html": "x"}) == ["ticket_id", "outcome or outcome_id"]
    assert note.missing({"ticket_id": 1, "outcome_id": 7}) == []


def test_an_edit_needs_the_id_and_a_ticket_update_takes_back_what_halo_wants():
    assert find_action("edit_site").missing({"name": "x"}) == ["id"]
    assert find_action("update_ticket").keeps == ("tickettype_id", "client_id")


def test_a_misspelt_action_is_refused_with_the_nearest():
    with pytest.raises(UnknownAction) as refusal:
        find_action("create_tiket")
    assert str(refusal.value).startswith("there is no action 'create_tiket'; did you mean create_ticket")
