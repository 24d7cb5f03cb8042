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
