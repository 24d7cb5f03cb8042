"""The command `check` for programs."""

from pathlib import Path

import jsonschema
import orjson
import pytest
from typer.testing import CliRunner

from worker.cli.check import check
from worker.cli.check_formats import Format, write_github
from worker.cli.main import app
from worker.core.errors import Problem

GOOD = """
clients:
  main: {url: "https://acme.haloitsm.com", auth: {type: client_credentials, client_id: a, client_secret: hidden-away}}
subscribers:
  feed: {client: main, entity: Agent, cron: "0 * * * *", changes: all}
publishers:
  sink: {client: main, queue: q, entity: Asset, find: {match: {a: 1}}}
"""


def checked(tmp_path, capsys, text):
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "a.yaml").write_text(text)
    code = check(tmp_path / "routes", {}, tmp_path, as_json=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "hidden" not in printed.out
    return code, orjson.loads(printed.out)


def test_json_of_good_files_tells_what_each_route_does(tmp_path, capsys):
    assert checked(tmp_path, capsys, GOOD) == (
        0,
        {
            "ok": True,
            "clients": ["main"],
            "routes": [
                {"route": "feed", "kind": "subscriber", "client": "main", "does": "GET Agent at 0 * * * *, every record → exchange halo"},
                {"route": "sink", "kind": "publisher", "client": "main", "does": "queue q → POST Asset, 4 at a time, looks before it repeats"},
            ],
            "warnings": [],
        },
    )


def test_json_of_bad_files_tells_each_problem_with_its_place(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, GOOD.replace("entity: Agent", "entity: Agnt"))
    assert (code, said["ok"]) == (2, False)
    (problem,) = said["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("routes/a.yaml", 5, 32)
    assert "Agnt" in problem["message"]


AUTOMATION = """
integrations:
  own: {auth: {type: halo, client: main}, methods: {me: {method: GET, path: /Agent/me}, all: {method: GET, path: /Agent}}}
runbooks:
  book: {first: a, steps: {a: {method: own.me, next: b}, b: {action: get_control, client: main}}, concurrency: 1}
webhooks:
  hook: {client: main, events: [new_ticket, 99], auth: {type: basic, username: a, password: hidden-too-of-the-test}, runbook: book, publish: {}, wake: {subscriber: feed}}
"""


def test_json_tells_what_integrations_runbooks_and_webhooks_do(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, GOOD + AUTOMATION)
    assert code == 0
    assert said["routes"][2:] == [
        {"route": "own", "kind": "integration", "client": "main", "does": "2 methods of https://acme.haloitsm.com/api: me, all"},
        {"route": "book", "kind": "runbook", "client": "main", "does": "webhook hook → 2 steps, 1 at a time"},
        {
            "route": "hook",
            "kind": "webhook",
            "client": "main",
            "does": "new_ticket, 99 at /webhooks/hook → runbook book, exchange halo, wakes feed",
        },
    ]


WARNED = GOOD + "  notes: {client: main, queue: q2, entity: Actions, transform: {payload: {ticket_id: 1, outcom: Note}}}\n"
BAD = WARNED.replace("entity: Agent", "entity: Agnt")


@pytest.fixture
def printed(tmp_path, capsys, monkeypatch):
    """Checks a file of this text; gives the exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes").mkdir()

    def run(text, **options):
        (tmp_path / "routes" / "a.yaml").write_text(text)
        code = check(tmp_path / "routes", {}, tmp_path, **options)
        captured = capsys.readouterr()
        assert "hidden" not in captured.out + captured.err
        return code, captured.out, captured.err

    return run


def test_warnings_alone_do_not_fail_and_the_routes_are_shown(printed):
    code, out, err = printed(WARNED)
    assert code == 0
    assert "good: 1 client" in out
    lines = err.splitlines()
    assert (
        lines[0]
        == "routes/a.yaml:8:74: warning: a new record of Actions needs `outcome` or `outcome_id`: Halo answers: An Outcome must be entered for this Action"
    )
    assert lines[1].startswith("    8 |   notes: {client: main, queue: q2")
    assert lines[2].index("^") - lines[1].index("| ") == 75
    assert lines[-1] == "2 warnings"


def test_with_strict_warnings_fail(printed):
    code, out, err = printed(WARNED, strict=True)
    assert code == 2
    assert "good" not in out
    assert err.endswith("2 warnings\n")
    assert printed(GOOD, strict=True)[0] == 0


def test_problems_and_warnings_are_shown_together(printed):
    code, out, err = printed(BAD)
    assert (code, out) == (2, "")
    assert err.endswith("1 problem, 2 warnings\n")


def test_json_has_the_warnings_with_their_lines(printed):
    code, out, _ = printed(WARNED, form=Format.JSON)
    said = orjson.loads(out)
    assert (code, said["ok"], len(said["routes"])) == (0, True, 3)
    assert [(warning["line"], warning["column"], warning["excerpt"][:9]) for warning in said["warnings"]] == [(8, 74, "  notes: "), (8, 89, "  notes: ")]
    code, out, _ = printed(WARNED, form=Format.JSON, strict=True)
    assert (code, orjson.loads(out)["ok"]) == (2, False)


def test_github_gets_an_annotation_for_each(printed):
    code, out, err = printed(BAD, form=Format.GITHUB)
    assert (code, err) == (2, "")
    lines = out.splitlines()
    assert lines[0] == "::error file=routes/a.yaml,line=5,col=32::there is no entity 'Agnt'; did you mean Agent or Agent/me or Tenant?"
    assert [line[:44] for line in lines[1:]] == ["::warning file=routes/a.yaml,line=8,col=74::", "::warning file=routes/a.yaml,line=8,col=89::"]
    assert printed(GOOD, form=Format.GITHUB) == (0, "", "")


def test_annotations_escape_what_workflow_commands_would_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_github([Problem("routes/a,b:c.yaml", 1, 0, "100 %\nnext: x")], [], tmp_path / "routes")
    assert capsys.readouterr().out == "::error file=routes/a%2Cb%3Ac.yaml,line=1::100 %25%0Anext: x\n"


def test_files_are_named_from_the_working_directory_on(tmp_path, monkeypatch, capsys):
    (tmp_path / "deploy" / "routes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy" / "routes" / "a.yaml").write_text(BAD)
    check(Path("deploy/routes"), {}, tmp_path, form=Format.GITHUB)
    assert capsys.readouterr().out.startswith("::error file=deploy/routes/a.yaml,line=5,")


SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": {"$ref": "#/$defs/text"},
                                                "defaultConfiguration": {"type": "object", "properties": {"level": {"$ref": "#/$defs/level"}}},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"$ref": "#/$defs/level"},
                                "message": {"$ref": "#/$defs/text"},
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                                                    },
                                                    "region": {"$ref": "#/$defs/region"},
                                                    "contextRegion": {"$ref": "#/$defs/region"},
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "level": {"enum": ["none", "note", "warning", "error"]},
        "text": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
        "region": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "startLine": {"type": "integer", "minimum": 1},
                "startColumn": {"type": "integer", "minimum": 1},
                "snippet": {"$ref": "#/$defs/text"},
            },
        },
    },
}
"""The parts of the schema of SARIF 2.1.0 that the log uses, with its required members, its values and its bounds."""


@pytest.mark.parametrize(("text", "levels"), [(GOOD, []), (WARNED, ["warning"] * 2), (BAD, ["error", "warning", "warning"]), ("", ["error"])])
def test_a_sarif_log_is_valid_and_has_a_result_for_each(printed, text, levels):
    _, out, err = printed(text, form=Format.SARIF)
    log = orjson.loads(out)
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    assert [result["level"] for result in run["results"]] == levels
    assert all(run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert err == ""


def test_a_sarif_result_has_its_place_and_its_line(printed):
    log = orjson.loads(printed(BAD, form=Format.SARIF)[1])
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "routes/a.yaml"}
    assert place["region"] == {"startLine": 5, "startColumn": 32}
    assert place["contextRegion"]["snippet"]["text"].startswith("  feed: {client: main, entity: Agnt")


def test_the_command_takes_the_form_and_strict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "a.yaml").write_text(WARNED)
    runner = CliRunner()
    assert runner.invoke(app, ["check", "routes"]).exit_code == 0
    assert runner.invoke(app, ["check", "routes", "--strict"]).exit_code == 2
    assert runner.invoke(app, ["check", "routes", "--format", "github"]).output.startswith("::warning ")
    assert orjson.loads(runner.invoke(app, ["check", "routes", "--json"]).stdout)["ok"] is True
    assert runner.invoke(app, ["check", "routes", "--format", "xml"]).exit_code == 2
