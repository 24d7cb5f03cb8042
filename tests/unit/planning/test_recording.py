"""`test --record` adds an example to the route file and leaves the rest of the file as it is."""

from __future__ import annotations

import difflib
from pathlib import Path

import orjson
import pytest

from worker.cli.recording import NotRecorded, record_example
from worker.cli.testing import run_tests

CLIENTS = "clients:\n  main:\n    url: https://acme.haloitsm.com\n    auth: {type: client_credentials, client_id: a, client_secret: b}\n"
BLOCK = """# Routes, with a comment.
publishers:
  # the assets
  assets:
    client: main
    queue: q
    entity: Asset
    missing: omit
    transform:
      payload:
        inventory_number: "{{{{ serial }}}}"     # a remark
        notes: "{{{{ remark }}}}"
{examples}
  # the others
  others: {{client: main, queue: r, entity: Asset}}

{clients}"""
SOME = """    examples:
    - name: old
      given: {serial: A0}
      expect:
        request: {path: /Asset}
      # a last remark
    retry: [5s]"""
MESSAGE = {"serial": "A1", "remark": "Ada Lovelace has it", "contact": {"email": "ada@acme.com"}, "since": "2025-01-31", "yes": "yes", "zero": "007"}


@pytest.fixture
def recorded(tmp_path: Path):
    def record(text: str, *messages: object, route: str = "assets") -> list[str]:
        """The lines that a recording adds; none may go."""
        folder = tmp_path / "routes"
        folder.mkdir(exist_ok=True)
        (folder / "a.yaml").write_text(text)
        (tmp_path / "m.json").write_bytes(orjson.dumps(list(messages)))
        assert record_example(folder, route, tmp_path / "m.json", {}) == 0
        changed = list(difflib.ndiff(text.splitlines(), (folder / "a.yaml").read_text().splitlines()))
        assert [line for line in changed if line.startswith("- ")] == []
        assert run_tests(folder, {}, junit=None, as_json=False) == 0
        return [line[2:] for line in changed if line.startswith("+ ")]

    return record


def test_an_example_has_the_masked_message_and_what_it_yields_now(recorded, capsys):
    added = recorded(BLOCK.format(examples="", clients=CLIENTS), MESSAGE)
    assert added[0] == "    examples:"
    text = "\n".join(added)
    assert "Ada" not in text
    assert "acme.com" not in text
    assert [line.strip() for line in added[-2:]] == ["- inventory_number: A1", "notes: Text 1"]
    assert "remark: Text 1" in text
    assert "read the example before you commit it" in capsys.readouterr().out


@pytest.mark.parametrize("number", ["89445012345678901234", "9223372036854775808", "0.12345678901234567890", '1, "b": [{"c": 1e-400}]'])
def test_a_number_that_a_route_file_does_not_hold_is_told_and_nothing_is_written(tmp_path, number):
    text = BLOCK.format(examples="", clients=CLIENTS)
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "m.json").write_text(f'{{"serial": "A1", "a": {number}}}')
    with pytest.raises(NotRecorded, match=r"^input 1 has a number with more digits than a route file holds"):
        record_example(tmp_path, "assets", tmp_path / "m.json", {})
    assert (tmp_path / "a.yaml").read_text() == text


def test_the_line_ends_of_the_file_stay(tmp_path):
    text = BLOCK.format(examples="", clients=CLIENTS).replace("\n", "\r\n").encode()
    (tmp_path / "a.yaml").write_bytes(text)
    (tmp_path / "m.json").write_bytes(orjson.dumps(MESSAGE))
    record_example(tmp_path, "assets", tmp_path / "m.json", {})
    after = (tmp_path / "a.yaml").read_bytes()
    assert len(after) > len(text)
    assert b"\n" not in after.replace(b"\r\n", b"")


def test_it_is_added_after_the_examples_that_are_there(recorded):
    added = recorded(BLOCK.format(examples=SOME, clients=CLIENTS), MESSAGE, {"serial": "A2"})
    assert [line for line in added if line.startswith("    - name")] == ["    - name: 'recorded: request'"] * 2


def test_a_message_that_dies_or_is_left_out_is_recorded_so(recorded):
    added = recorded(BLOCK.format(examples='    when: "{{ $exists(serial) }}"', clients=CLIENTS), {}, {"serial": {}, "remark": 1, "x": 1})
    assert "          skipped: true" in added


def test_a_record_of_a_subscriber_is_recorded_with_its_event(recorded):
    text = "subscribers:\n  tickets:\n    client: main\n    entity: Tickets\n" + CLIENTS
    assert "            routing_key: tickets.created" in recorded(text, {"id": 7, "user_name": "Ada Lovelace"}, route="tickets")


def test_a_route_on_one_line_is_left_alone_and_the_example_is_shown_to_be_added_by_hand(recorded, tmp_path):
    text = BLOCK.format(examples="", clients=CLIENTS)
    with pytest.raises(NotRecorded) as refused:
        recorded(text, {"payload": {"name": "x"}}, route="others")
    assert "add this by hand:\nexamples:\n  - name: 'recorded: request'" in str(refused.value)
    assert (tmp_path / "routes" / "a.yaml").read_text() == text


@pytest.mark.parametrize(("route", "told"), [("asets", "did you mean assets?"), ("nothing-like-it", "there are assets, others")])
def test_a_route_that_is_not_there_is_answered_with_the_nearest(recorded, route, told):
    with pytest.raises(NotRecorded, match=told.replace("?", r"\?")):
        recorded(BLOCK.format(examples="", clients=CLIENTS), {}, route=route)


def test_a_code_of_a_table_stays_so_that_the_example_yields_what_the_message_yields(recorded):
    text = (
        CLIENTS
        + """
tables:
  customers: {ACME: 12}
publishers:
  assets:
    client: main
    queue: q
    entity: Asset
    transform: {payload: {client_id: "{{ $table('customers', customer) }}"}}
"""
    )
    added = "\n".join(recorded(text, {"customer": "ACME"}))
    assert "customer: ACME" in added
    assert "client_id: 12" in added
