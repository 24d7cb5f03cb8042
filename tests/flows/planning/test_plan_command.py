"""`halo-worker plan`, as people and programs run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.job import publisher, routes, subscriber
from tests.tools.process import write_routes
from worker.cli.documents import read_documents
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.simulated_halo import SimulatedHalo

TRANSFORM = {"payload": {"inventory_number?": "{{ serial }}", "client_id?": "{{ customer }}"}}


@dataclass
class Desk:
    """Somebody at a shell, with route files."""

    folder: Path
    halo: SimulatedHalo | None

    def write(self, name: str = "here", **members: Any) -> Path:
        made = publisher(transform=TRANSFORM, when="{{ $not(serial = 'skip') }}", find=FIND) | members
        client = routes(self.halo) if self.halo else OFFLINE
        definitions = client | {"publishers": {"assets": made}, "subscribers": {"tickets": subscriber(when="{{ id > 1 }}")}}
        (self.folder / name).mkdir(exist_ok=True)
        return write_routes(self.folder / name, definitions)

    async def plan(self, *arguments: str, stdin: str = "", **members: Any) -> Ended:
        return await run_command(self.folder, "plan", *arguments, stdin=stdin.encode(), routes=self.write(**members), amqp_url="amqp://nobody@127.0.0.1:1/")


FIND = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}, "use": "always"}
OFFLINE = {"clients": {"main": {"url": "http://127.0.0.1:1", "auth": {"type": "client_credentials", "client_id": "a", "client_secret": "${NOT_SET}"}}}}


def lines(ended: Ended) -> list[Any]:
    return [orjson.loads(line) for line in ended.out.splitlines()]


@pytest.fixture
def offline(tmp_path):
    return Desk(tmp_path, None)


async def test_each_message_is_shown_with_its_requests_or_why_there_is_none_and_nothing_connects(offline):
    ended = await offline.plan("assets", "-", stdin='{"serial": "A1", "customer": 12}\n{"serial": "skip"}\n[1]\n{"serial": "A', find=None)
    assert ended.code == 1, "one of them would become a dead letter"
    assert ended.out.splitlines() == [
        "1    POST /Asset",
        '       [{"inventory_number":"A1","client_id":12}]',
        "2    skipped: the route's `when`",
        "3    dead letter, transform: `transform` yields a record without any member: nothing in this message is where its expressions look",
        "4    dead letter, decode: the body is not JSON: unexpected end of data at line 1, column 14",
        "offline: neither Halo nor RabbitMQ was called",
        "4 inputs: 1 for Halo, 1 skipped, 2 dead-lettered; nothing was sent",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("text", ['[{"id": 7, "summary": "\u00fc"}, {"id": 8}]\r\n', '{"id": 7, "summary": "\u00fc"}\r\n{"id": 8}\r\n'])
def test_files_of_inputs_are_read_in_every_unicode_encoding(tmp_path, encoding, text):
    (tmp_path / "m.json").write_bytes(text.encode(encoding))
    assert list(map(orjson.loads, read_documents(str(tmp_path / "m.json")))) == [{"id": 7, "summary": "\u00fc"}, {"id": 8}]


async def test_json_is_an_object_a_line_of_the_shape_that_programs_rely_on(offline, tmp_path):
    (tmp_path / "m.json").write_text('[{"serial": "A1"}, {"serial": "skip"}]')
    ended = await offline.plan("assets", str(tmp_path / "m.json"), "--json")
    lookup = {"method": "GET", "path": "/Asset", "query": {"search": "A1", "pageinate": "true", "page_size": "100", "page_no": "1"}}
    assert ended.code == 0
    assert lines(ended) == [
        {"input": 1, "outcome": "request", "requests": [lookup, {"method": "POST", "path": "/Asset", "body": [{"inventory_number": "A1"}]}], "unanswered": ["GET /Asset"]},
        {"input": 2, "outcome": "skipped", "reason": "the route's `when`"},
    ]  # fmt: skip
    assert "offline" in ended.err


async def test_a_record_is_shown_with_its_event_and_a_record_that_fails_with_its_reason(offline):
    ended = await offline.plan("tickets", "-", "--json", "--change", "updated", stdin='{"id": 7}\n{"id": 1}\n{"summary": "no id"}')
    one, two, three = lines(ended)
    assert (one["outcome"], one["event"]["routing_key"], one["event"]["body"]) == ("event", "tickets.updated", {"id": 7})
    assert one["event"]["headers"]["cloudEvents_type"] == "com.haloitsm.tickets.updated"
    assert (two["outcome"], two["reason"]) == ("skipped", "the route's `when`")
    assert three["reason"] == "the record has no id, which identifies it"


async def test_the_second_message_with_a_key_of_once_is_a_copy_as_it_is_on_a_queue(offline):
    ended = await offline.plan("assets", "-", "--json", stdin='{"serial": "A1"}\n{"serial": "A1"}', once="{{ serial }}", find=None)
    assert [line["outcome"] for line in lines(ended)] == ["request", "skipped"]


async def test_headers_and_the_routing_key_are_those_that_are_given(offline):
    seen = {"payload": {"name": "{{ $headers.tag & ' ' & $message.routing_key }}"}}
    ended = await offline.plan("assets", "-", "--json", "--header", "tag=x", "--routing-key", "asset.new", stdin="{}", transform=seen, find=None)
    assert lines(ended)[0]["requests"][0]["body"] == [{"name": "x asset.new"}]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("asets", "-"), 1, "did you mean assets?"),
        (("assets", "/does/not/exist.json"), 1, "cannot be read: no such file"),
        (("assets", "-"), 1, "standard input holds no input"),
        (("assets", "-", "--header", "tag"), 2, "--header: write name=text"),
    ],
)
async def test_what_cannot_be_planned_is_said_in_a_sentence(offline, arguments, code, told):
    ended = await offline.plan(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err


async def test_another_version_of_the_routes_shows_only_what_differs(offline):
    other = offline.write("there", transform={"payload": {"inventory_number": "{{ serial }}"}})
    ended = await offline.plan("assets", "-", "--against", str(other), stdin='{"serial": "A1", "customer": 12}\n{"serial": "A2"}')
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "1    request",
        "     requests[1].body[0].client_id",
        "       + 12",
        f"1 of 2 plans differ from {other} (-); nothing was sent",
    ]
    same = await offline.plan("assets", "-", "--against", str(other), "--json", stdin='{"serial": "A2"}')
    assert (same.code, same.out) == (0, "")


@pytest.fixture
async def desk(tmp_path, halos):
    return Desk(tmp_path, await halos())


async def test_asking_reads_from_halo_and_shows_what_an_update_changes(desk):
    row = next(desk.halo.store.rows("asset"))
    serial = row["inventory_number"]
    ended = await desk.plan("assets", "-", "--ask", stdin=orjson.dumps({"serial": serial, "customer": 424242}).decode())
    assert (ended.code, ended.err) == (0, "")
    shown = ended.out.splitlines()
    assert f"  /Asset/{row['id']} client_id" in ended.out
    assert f"         - {row['client_id']}" in shown
    assert "         + 424242" in shown
    assert "asked Halo 2 times, GET only" in shown
    assert {entry.method for entry in desk.halo.journal.received(path="/api/*")} == {"GET"}
    assert desk.halo.journal.executed("POST") == []


async def test_a_record_that_halo_does_not_have_is_told_when_asking(desk):
    ended = await desk.plan("assets", "-", "--ask", "--json", stdin='{"id": 999999}', transform={"payload": {"id": "{{ id }}", "notes": "x"}}, when=None)
    [line] = lines(ended)
    assert line["diff"] == [{"record": "/Asset/999999", "member": "(the record)", "now": "not there", "then": "Halo refuses the update"}]


async def test_asking_a_halo_that_is_away_fails_instead_of_planning_a_create(desk):
    halo, desk.halo = desk.halo, None
    ended = await desk.plan("assets", "-", "--ask", stdin='{"serial": "A1"}')
    assert ended.code == 2, "without its secret nothing is asked"
    assert "`NOT_SET` is not set" in ended.err
    desk.halo = halo
    halo.fault(Fault(FaultKind.RESET, "GET", "/Asset", times=None))
    ended = await desk.plan("assets", "-", "--ask", stdin='{"serial": "A1"}')
    assert (ended.code, ended.out) == (1, "")
    assert "the lookup failed" in ended.err
