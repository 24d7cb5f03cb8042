"""`halo-worker test`: what an example compares, and how it tells what is different."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest

from tests.tools.every import every
from worker.cli.testing import run_tests
from worker.config.loader import load_routes
from worker.core.errors import ConfigError

CLIENT = {"main": {"url": "${HALO_URL}", "auth": {"type": "client_credentials", "client_id": "${NOT_SET}", "client_secret": "${file:not_there}"}}}
PUBLISHER = {
    "client": "main",
    "queue": "q",
    "entity": "Asset",
    "when": "{{ $exists(serial) }}",
    "transform": {"payload": {"inventory_number": "{{ serial }}", "client_id?": "{{ customer }}"}},
}
SUBSCRIBER = {
    "client": "main",
    "entity": "Tickets",
    "transform": {"id": "{{ id }}", "bad": "{{ bad ? $error('it is bad') : null }}"},
    "publish": {"routing_key": "t.{{ $change }}"},
}
WEBHOOK = {
    "client": "main",
    "auth": {"type": "basic", "username": "u", "password": "${SECRET_OF_HOOK}"},
    "publish": {"routing_key": "hook.{{ event }}"},
    "wake": {"subscriber": "tickets"},
    "runbook": "ask",
    "when": "{{ event != 'other' }}",
}
RUNBOOK = {
    "start": {"queue": "go"},
    "input": {"Name": "request^name!"},
    "first": "ask",
    "steps": {
        "ask": {"method": "api.ask", "output": {"Text": "response^text!"}, "retry": ["1h"], "in_doubt": "repeat", "next": "note", "on_failure": "gone"},
        "note": {"action": "create_action", "client": "main", "body": {"ticket_id": 7, "outcome": "Note", "note_html": "<<Text>> <<Name>>"}},
        "gone": {"end": "failed", "reason": "nobody answers <<Name>>"},
    },
}
INTEGRATION = {
    "base_url": "https://api.example/v1",
    "auth": {"type": "login", "method": "login", "token": "response^token!"},
    "proxy": "http://proxy.invalid:3128",
    "ca_file": "/not/on/this/machine.pem",
    "methods": {
        "ask": {"method": "POST", "path": "/ask", "body": {"q": "<<Name>>"}},
        "login": {"method": "POST", "path": "/login"},
        "list": {"method": "GET", "path": "/list", "pages": {"next": "link", "items": "response^items"}},
    },
}
ANSWER = {"api.ask": {"body": {"text": "hello"}}}


@pytest.fixture
def run(tmp_path: Path, capsys):
    """Runs these examples of one kind of route; gives the exit code and what was printed."""

    def running(kind: str, *examples: object, as_json: bool = False, junit: Path | None = None, **members: object):
        routes = {"publishers": PUBLISHER, "subscribers": SUBSCRIBER, "webhooks": WEBHOOK, "runbooks": RUNBOOK}
        names = {"publishers": "assets", "subscribers": "tickets", "webhooks": "hook", "runbooks": "ask"}
        definitions = {section: {names[section]: route} for section, route in routes.items()}
        definitions[kind] = {names[kind]: routes[kind] | members | {"examples": list(examples)}}
        folder = tmp_path / "routes"
        folder.mkdir(exist_ok=True)
        text = orjson.dumps({"clients": CLIENT, "integrations": {"api": INTEGRATION}, **definitions}, option=orjson.OPT_INDENT_2)
        (folder / "all.yaml").write_bytes(text)
        code = run_tests(folder, {}, junit=junit, as_json=as_json)
        return code, capsys.readouterr().out

    return running


def test_answers_have_headers_and_pages_and_need_no_login_no_proxy_and_no_certificate(run):
    steps = {
        "ask": {
            "method": "api.ask",
            "in_doubt": "repeat",
            "output": {"Where": "headers^Location!", "Session": "cookies^sid!", "Code": "status"},
            "next": "list",
        },
        "list": {"method": "api.list", "output": {"Last": "response^items[2]"}, "next": "note"},
        "note": {
            "action": "create_action",
            "client": "main",
            "body": {"ticket_id": 7, "outcome": "Note", "note_html": "<<Where>> <<Session>> <<Code>> <<Last>>"},
        },
    }
    answers = {
        "api.ask": {"status": 201, "headers": {"Location": "/orders/7", "Set-Cookie": "sid=abc; Path=/"}},
        "api.list": [{"body": {"items": [1, 2]}, "headers": {"Link": '</v1/list?page=2>; rel="next"'}}, {"body": {"items": [3]}}],
    }
    requests = [
        {"path": "/ask"},
        {"path": "/list", "query": {}},
        {"path": "/list", "query": {"page": "2"}},
        {"body": [{"ticket_id": 7, "outcome": "Note", "note_html": "/orders/7 abc 201 3"}]},
    ]
    code, out = run("runbooks", {"given": {"name": "Ada"}, "answers": answers, "expect": {"requests": requests}}, steps=steps)
    assert code == 0, out


BODY = [{"inventory_number": "A1", "client_id": 12}]


@every(
    ("kind", "example"),
    [
        ("publishers", {"given": {"serial": "A1", "customer": 12}, "expect": {"request": {"method": "POST", "path": "/Asset", "body": BODY}}}),
        ("publishers", {"given": {"serial": "A1", "customer": 12}, "expect": {"request": {"path": "/Asset"}}}),
        ("publishers", {"given": {"customer": 12}, "expect": {"skipped": True}}),
        ("publishers", {"given": {"customer": 12}, "expect": {"skipped": True, "reason": "`when`"}}),
        ("publishers", {"given": {"serial": ["A1"], "customer": 12}, "expect": {"requests": [{"body": [{"inventory_number": ["A1"], "client_id": 12}]}]}}),
        ("subscribers", {"given": {"id": 7}, "expect": {"event": {"routing_key": "t.created", "body": {"id": 7, "bad": None}}}}),
        ("subscribers", {"given": {"id": 7}, "change": "updated", "expect": {"event": {"routing_key": "t.updated", "headers": {"cloudEvents_subject": "7"}}}}),
        ("subscribers", {"given": {"id": 7, "bad": True}, "expect": {"dead": "transform", "reason": "it is bad"}}),
        ("webhooks", {"given": {"event": "x", "object_id": 7}, "expect": {"event": {"routing_key": "hook.x"}, "runbook": "ask", "wake": {"subscriber": "tickets", "id": 7}}}),
        ("webhooks", {"given": {"event": "other"}, "expect": {"skipped": True}}),
        ("webhooks", {"given": {"event": "x" * 300}, "expect": {"dead": "transform", "reason": "255 bytes"}}),
        ("runbooks", {"given": {"name": "Ada"}, "answers": ANSWER, "expect": {"requests": [{"path": "/ask", "body": {"q": "Ada"}}, {"method": "POST", "path": "/Actions"}]}}),
        ("runbooks", {"given": {"name": "Ada"}, "answers": {"api.ask": [{"status": 500}, {"body": {"text": "x"}}]}, "expect": {"requests": [{}, {}, {"path": "/Actions"}]}}),
        ("runbooks", {"given": {"name": "Ada"}, "answers": {"api.ask": {"status": 404}}, "expect": {"dead": "failed", "reason": "nobody answers Ada"}}),
    ],
)  # fmt: skip
def test_what_an_example_expects_of_each_kind_of_route_is_found(run, kind, example):
    code, out = run(kind, example)
    assert (code, out.splitlines()[-1]) == (0, "1 example, all passed; offline, nothing was sent"), out


@every(
    ("kind", "example", "told"),
    [
        ("publishers", {"given": {"serial": "A1", "customer": 12}, "expect": {"request": {"body": [{"inventory_number": "A2", "client_id": 12}]}}}, ["request.body[0].inventory_number", '- expected  "A2"', '+ found     "A1"']),
        ("publishers", {"given": {"serial": "A1", "customer": 12}, "expect": {"request": {"body": [{"inventory_number": "A1"}]}}}, ["request.body[0].client_id", "- expected  (absent)", "+ found     12"]),
        ("publishers", {"given": {"serial": "A1", "customer": True}, "expect": {"request": {"body": [{"inventory_number": "A1", "client_id": 1}]}}}, ["request.body[0].client_id", "- expected  1", "+ found     true"]),
        ("publishers", {"given": {"serial": "A1"}, "expect": {"skipped": True}}, ["result", '- expected  "skipped"', '+ found     "request"']),
        ("publishers", {"given": {}, "expect": {"request": {"path": "/Asset"}}}, ["result", '- expected  "request"', '+ found     "skipped (the route\'s `when`)"']),
        ("publishers", {"given": {"serial": "A1"}, "expect": {"requests": [{}, {"path": "/Asset"}]}}, ["requests[1]", '- expected  {"path":"/Asset"}', "+ found     (absent)"]),
        ("publishers", {"given": {"serial": "A1"}, "expect": {"requests": []}}, ["requests[0]", "- expected  (absent)", '+ found     "POST /Asset"']),
        ("subscribers", {"given": {"id": 7, "bad": True}, "expect": {"dead": "transform", "reason": "it is good"}}, ["reason", '- expected  "… it is good …"']),
        ("subscribers", {"given": {"id": 7, "bad": True}, "expect": {"dead": "decode"}}, ["result", '- expected  "dead: decode"']),
        ("subscribers", {"given": {"id": 7}, "expect": {"event": {"headers": {"nothing": "x"}}}}, ["event.headers.nothing", "+ found     (absent)"]),
        ("webhooks", {"given": {"event": "x", "object_id": 7}, "expect": {"wake": {"subscriber": "tickets", "id": 8}}}, ["wake.id", "- expected  8", "+ found     7"]),
        ("runbooks", {"given": {"name": "Ada"}, "expect": {"dead": "failed"}}, ["answers.api.ask", '- expected  "an answer"', "+ found     (absent)"]),
    ],
)  # fmt: skip
def test_what_is_different_is_told_by_its_place_with_both_values(run, kind, example, told):
    code, out = run(kind, example | {"name": "it"})
    shown = [line.strip() for line in out.splitlines()]
    assert code == 1
    assert [line for line in told if line not in shown and not any(each.startswith(line) for each in shown)] == [], out
    assert shown[0].startswith("FAIL")
    assert "routes/all.yaml:" in shown[0]


def test_a_lookup_finds_what_the_example_says_halo_has(run):
    find = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}, "use": "always"}
    there = {"answers": {"GET /Asset": {"body": [{"id": 5, "inventory_number": "A1"}]}}}
    as_records = {"ids": {"Asset": [{"id": 5, "inventory_number": "A1"}, {"id": 6, "inventory_number": "A2"}]}}
    updated = {"request": {"body": [{"inventory_number": "A1", "client_id": 12, "id": 5}]}}
    message = {"given": {"serial": "A1", "customer": 12}}
    created = message | {"expect": {"request": {"body": BODY}}}
    code, out = run("publishers", message | there | {"expect": updated}, message | as_records | {"expect": updated}, created, find=find)
    assert code == 0, out


@pytest.mark.parametrize(
    ("entity", "written"), [("Status", "Status"), ("Client", "Clients"), ("Clients", "client"), ("AssetType", "/AssetType"), ("Users", "users")]
)
def test_the_ids_of_an_example_are_found_by_every_name_of_their_entity(run, entity, written):
    transform = {"payload": {"inventory_number": f"{{{{ $id('{entity}', {{'name': serial}}) }}}}"}}
    example = {"given": {"serial": "New"}, "ids": {written: [{"id": 3, "name": "New"}]}, "expect": {"request": {"body": [{"inventory_number": 3}]}}}
    code, out = run("publishers", example, transform=transform)
    assert code == 0, out


@every(
    ("kind", "expect", "name"),
    [
        ("publishers", {"request": None}, "request"),
        ("publishers", {"requests": None}, "requests"),
        ("publishers", {"requests": [{}, {"method": None}]}, "method"),
        ("publishers", {"request": {"path": None}}, "path"),
        ("publishers", {"dead": None}, "dead"),
        ("publishers", {"skipped": None}, "skipped"),
        ("subscribers", {"event": None}, "event"),
        ("subscribers", {"event": {"headers": None}}, "headers"),
        ("webhooks", {"event": {}, "runbook": None}, "runbook"),
        ("webhooks", {"wake": None}, "wake"),
    ],
)
def test_an_expectation_without_a_value_is_refused(run, kind, expect, name):
    with pytest.raises(ConfigError, match=rf"`{name}` has no value: write one, or leave it out"):
        run(kind, {"given": {"id": 7}, "expect": expect})


def test_the_body_of_an_event_may_be_null(run):
    code, out = run("subscribers", {"given": {"id": 7}, "expect": {"event": {"body": None}}}, transform="null")
    assert code == 0, out


def test_ids_of_no_entity_are_refused(run):
    with pytest.raises(ConfigError, match=r"there is no entity 'Clint'; did you mean Client"):
        run("publishers", {"given": {"serial": "A1"}, "ids": {"Clint": []}, "expect": {"skipped": True}})


def test_examples_do_not_know_of_each_other(run):
    """The key of `once` is free again in each."""
    message = {"given": {"serial": "A1"}, "expect": {"request": {"path": "/Asset"}}}
    code, out = run("publishers", message, message, once="{{ serial }}")
    assert code == 0, out


def test_json_is_an_object_a_line(run):
    code, out = run("publishers", {"given": {"serial": "A1"}, "expect": {"skipped": True}}, {"given": {}, "expect": {"skipped": True}}, as_json=True)
    first, second = map(orjson.loads, out.splitlines())
    assert code == 1
    assert first["differences"] == [{"place": "result", "expected": "skipped", "found": "request"}]
    assert {name: second[name] for name in ("route", "kind", "example", "passed")} == {
        "route": "assets",
        "kind": "publisher",
        "example": "example 2",
        "passed": True,
    }


def test_junit_output_has_a_case_for_each_example_and_the_differences_of_those_that_failed(run, tmp_path):
    run("publishers", {"given": {"serial": "A1"}, "expect": {"skipped": True}}, {"given": {}, "expect": {"skipped": True}}, junit=tmp_path / "j.xml")
    root = ET.parse(tmp_path / "j.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.get("name") for case in root.iter("testcase")] == ["example 1", "example 2"]
    assert [failure.get("message") for failure in root.iter("failure")] == ["result: expected 'skipped', found 'request'"]


def test_route_files_without_examples_are_no_success(run, capsys):
    code, _ = run("publishers")
    assert code == 1


def test_nothing_in_given_is_filled_or_evaluated(run):
    message = {"given": {"serial": "${HOME} {{ 1 + 1 }} <<Name>>", "customer": 1}}
    code, out = run("publishers", message | {"expect": {"request": {"body": [{"inventory_number": "${HOME} {{ 1 + 1 }} <<Name>>", "client_id": 1}]}}})
    assert code == 0, out


def test_the_check_looks_for_no_variable_in_what_is_given_answered_or_expected(run, tmp_path):
    text = "${NEVER_SET} {{ ) }}"
    example = {"given": {"serial": text}, "answers": {"GET /Asset": {"body": text}}, "expect": {"request": {"body": [{"inventory_number": text}]}}}
    run("publishers", example)
    (tmp_path / "not_there").write_text("secret")
    variables = {"HALO_URL": "https://acme.haloitsm.com", "NOT_SET": "id", "SECRET_OF_HOOK": "a-secret-of-sixteen-characters"}
    [loaded] = load_routes(tmp_path / "routes", variables, tmp_path).publishers["assets"].examples
    assert (loaded.given, loaded.expect["request"]["body"]) == ({"serial": text}, [{"inventory_number": text}])


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ({"id": "7", "status": "9"}, {"event": {"body": {"id": 7, "next": 10}}}),
        ({"id": 7, "status": 9}, {"event": {"body": {"id": 7, "next": 10}}}),
        ({"id": "7", "status": "8"}, {"skipped": True}),
        ({"id": "7", "status": "open"}, {"dead": "transform", "reason": "column `status` is not a whole number"}),
    ],
    ids=str,
)
def test_a_row_of_a_report_has_its_types_before_the_filter_and_the_transform_see_it(tmp_path: Path, capsys, given, expect):
    """Halo writes cells as text: an example that is green with text must not be another thing than the run."""
    report = {"sql": "SELECT id, status FROM t", "types": {"id": "int", "status": "int"}}
    route = {"client": "main", "report": report, "key": "id", "when": "{{ status = 9 }}", "transform": {"id": "{{ id }}", "next": "{{ status + 1 }}"}}
    written = {"clients": CLIENT, "subscribers": {"rows": route | {"examples": [{"given": given, "expect": expect}]}}}
    (tmp_path / "all.yaml").write_bytes(orjson.dumps(written))
    assert run_tests(tmp_path, {}, junit=None, as_json=False) == 0, capsys.readouterr().out
