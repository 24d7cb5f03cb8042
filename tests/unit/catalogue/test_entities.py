"""The `entities` command: lists, one entity, JSON, and names that are not there."""

import json

import pytest

from worker.cli.entities import print_entities


@pytest.fixture(autouse=True)
def in_a_pipe(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_all_entities_are_listed_one_a_line(capsys):
    assert print_entities("", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 887
    assert next(line.split() for line in lines if line.startswith("Tickets ")) == ["Tickets", "GET", "POST", "yes", "yes", "integer", "tickets"]


def test_a_part_of_a_name_lists_what_holds_it(capsys):
    assert print_entities("approval", as_json=False) == 0
    out = capsys.readouterr().out
    assert "TicketApproval/{id}&{seq}" in out
    assert "Webhook" not in out


def test_one_entity_is_shown_with_all_its_parameters(capsys):
    assert print_entities("actions", as_json=False) == 0
    out = capsys.readouterr().out
    assert "excludesys" in out
    assert "identified by: ticket_id, id" in out
    assert "see also: Actions/reaction, Actions/Review, Actions/{id}" in out


def test_an_alias_shows_its_entity_as_json(capsys):
    assert print_entities("Assets", as_json=True) == 0
    (entity,) = json.loads(capsys.readouterr().out)
    assert entity["entity"] == "Asset"
    assert (entity["paged"], entity["dated"], entity["id"], entity["rows"]) == (True, True, "integer", "assets")
    assert "Device" in entity["aliases"]
    assert [operation["method"] for operation in entity["operations"]] == ["GET", "POST"]
    assert entity["operations"][0]["query_parameters"]["assettype_id"] == "int"


def test_a_search_gives_an_array_as_json(capsys):
    assert print_entities("webhook", as_json=True) == 0
    assert {"entity", "methods", "paged", "dated", "id", "rows"} <= set(json.loads(capsys.readouterr().out)[0])


def test_a_name_that_is_not_there_exits_1_with_the_nearest(capsys):
    assert print_entities("Tickts", as_json=False) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean Tickets" in captured.err


def members(capsys, entity, member):
    assert print_entities(entity, as_json=True, member=member) == 0
    return json.loads(capsys.readouterr().out)


def test_one_entity_is_shown_with_what_its_post_takes(capsys):
    assert print_entities("asset", as_json=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["member", "type", "array", "refers", "to"] in lines
    assert ["inventory_number", "string"] in lines
    assert ["client_id", "integer", "Client"] in lines
    assert ["customfields", "object", "array"] in lines


def test_members_are_chosen_by_a_part_of_their_name(capsys):
    assert members(capsys, "Tickets", "tickettype_") == [
        {"name": "tickettype_id", "type": "integer", "array": False, "refers_to": "TicketType"},
        {"name": "tickettype_name", "type": "string", "array": False, "refers_to": None},
    ]


def test_a_whole_name_shows_what_is_inside_and_dots_lead_there(capsys):
    inside = [member["name"] for member in members(capsys, "asset", "customfields")]
    assert inside[0] == "customfields"
    assert "customfields[].value" in inside
    assert [member["name"] for member in members(capsys, "asset", "fields.valid")] == ["fields[].validate"]
    assert members(capsys, "asset", "customfields[].value_is_pass") == [
        {"name": "customfields[].value_is_password_id", "type": "boolean", "array": False, "refers_to": None}
    ]


def test_json_of_an_entity_has_the_members_of_its_post(capsys):
    assert print_entities("Asset", as_json=True) == 0
    (entity,) = json.loads(capsys.readouterr().out)
    taken = {member["name"]: member for operation in entity["operations"] for member in operation["members"]}
    assert taken["fields"] == {"name": "fields", "type": "object", "array": True, "refers_to": None}
    assert taken["site_id"]["refers_to"] == "Site"


@pytest.mark.parametrize(("entity", "member", "said"), [("asset", "inventry_number", "did you mean inventory_number"), ("workflowstep", "x", "has no POST")])
def test_a_member_that_is_not_there_exits_1(capsys, entity, member, said):
    assert print_entities(entity, as_json=False, member=member) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
