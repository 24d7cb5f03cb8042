"""The commands of integrations and runbooks, as people and programs run them: exit codes, plain text, JSON, and the nearest name for a wrong one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.every import every
from tests.tools.job import client
from tests.tools.prefork import ROOT
from tests.tools.process import write_routes
from worker.catalogue.actions import ACTIONS
from worker.sandbox.fake_completions_api import serve_completions
from worker.sandbox.faults import Fault, FaultKind

SAMPLES = ROOT / "routes"
NOTE = {"action": {"note": "Why?"}, "ticket": {"id": 7}}


@dataclass
class Shell:
    """Runs commands over the sample routes; `variables` are those of the route files."""

    folder: Path
    variables: dict[str, str]

    async def run(self, *arguments: str, **settings: object) -> Ended:
        (self.folder / "secrets").mkdir(exist_ok=True)
        given = {"routes": SAMPLES} | settings
        return await run_command(self.folder, *arguments, variables=self.variables, **given)


@pytest.fixture
async def completions():
    async with serve_completions("planted-key") as served:
        yield served


@pytest.fixture
async def halo(halos):
    return await halos(ticket_update_needs_type=True)


@pytest.fixture
def shell(tmp_path, halo, completions):
    variables = {
        "HALO_URL": halo.url,
        "HALO_CLIENT_ID": halo.settings.client_id,
        "HALO_CLIENT_SECRET": halo.settings.client_secret,
        "COMPLETIONS_URL": completions.url,
        "COMPLETIONS_KEY": "planted-key",
        "COMPLETIONS_HOST": urlsplit(completions.url).netloc,
        "ASK_SECRET": "planted-ask-of-the-test",
        "HOOK_SECRET": "planted-hook-of-the-test",
    }
    return Shell(tmp_path, variables)


async def test_a_run_is_followed_to_its_end_without_a_broker(shell, halo):
    ended = await shell.run("start", "ask-chatgpt", "--input", "Prompt=Why?", "--input", "TicketId:=7", amqp_url="amqp://nobody@127.0.0.1:1/")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["asked", "ask", "reply"]
    assert "200  ask → reply" in ended.out
    [note] = halo.journal.executed("POST", "/Actions")
    assert note.body[0]["note_html"] == "About “Why?”: have you tried turning it off and on again?"


async def test_the_variables_can_come_from_a_starting_payload_and_what_is_given_by_name_goes_over_them(shell, halo, completions, tmp_path):
    (tmp_path / "payload.json").write_bytes(orjson.dumps(NOTE))
    ended = await shell.run("start", "ask-chatgpt", "--payload", str(tmp_path / "payload.json"), "--input", "TicketId:=8", "--json")
    result = orjson.loads(ended.out)
    assert (ended.code, result["result"]) == (0, "done")
    assert [(step["step"], step.get("status")) for step in result["steps"]] == [("asked", None), ("ask", 200), ("reply", 201)]
    assert completions.asked == ["Why?"]
    assert halo.journal.executed("POST", "/Actions")[0].body[0]["ticket_id"] == 8


async def test_a_run_that_fails_ends_with_1_and_its_reason(shell):
    shell.variables["COMPLETIONS_KEY"] = "wrong"
    ended = await shell.run("start", "ask-chatgpt", "--input", "Prompt=Why?", "--input", "TicketId:=7")
    assert ended.code == 1
    assert "the run ends: failed (no answer to the question on ticket 7)" in ended.out.splitlines()[-1]
    as_json = await shell.run("start", "ask-chatgpt", "--input", "Prompt=Why?", "--input", "TicketId:=7", "--json")
    result = orjson.loads(as_json.out)
    assert (as_json.code, result["result"], result["reason"]) == (1, "failed", "no answer to the question on ticket 7")
    assert "planted" not in ended.out + as_json.out


async def test_a_run_in_doubt_says_at_which_step(shell, halo, tmp_path):
    halo.fault(Fault(FaultKind.RESET, "POST", "/Actions", executed=True, times=None))
    note = {"action": "create_action", "client": "main", "body": {"ticket_id": 7, "outcome": "Note", "note_html": "x"}}
    runbook = {"start": {"queue": "go"}, "first": "note", "steps": {"note": note}}
    ended = await shell.run("start", "rb", "--json", routes=write_routes(tmp_path, {"clients": {"main": client(halo)}, "runbooks": {"rb": runbook}}))
    result = orjson.loads(ended.out)
    assert (ended.code, result["result"]) == (1, "in_doubt")
    assert result["reason"].startswith("step 'note': ")
    assert len(halo.journal.created("/Actions")) == 1


@every(
    ("arguments", "code", "told"),
    [
        (("start", "ask-chatgp"), 1, "there is no runbook 'ask-chatgp'; did you mean ask-chatgpt?"),
        (("start", "zzz"), 1, "there are ask-chatgpt, mark-as-spam"),
        (("start", "ask-chatgpt", "--input", "Promt=x"), 2, "did you mean Prompt?"),
        (("start", "ask-chatgpt", "--input", "nonsense"), 2, "--input: write name=text or name:=JSON, not 'nonsense'"),
        (("start", "ask-chatgpt", "--payload", "/does/not/exist.json"), 1, "cannot be read"),
        (("runbook", "show", "mark-as-span"), 1, "did you mean mark-as-spam?"),
        (("actions", "creat_ticket"), 1, "did you mean create_ticket"),
        (("call", "openai.completion"), 1, "did you mean openai.completions"),
        (("register", "ticket-event", "--url", "https://x.example"), 1, "did you mean ticket-events?"),
    ],
)
async def test_a_wrong_name_or_input_is_answered_with_the_nearest_and_nothing_is_done(shell, halo, arguments, code, told):
    ended = await shell.run(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1
    assert halo.journal.requests == type(halo.journal.requests)()


async def test_a_method_can_be_tried_and_shows_what_its_variables_find(shell):
    ended = await shell.run("call", "openai.completions", "--input", "Prompt=Why?", "--json")
    shown = orjson.loads(ended.out)
    assert (ended.code, shown["status"]) == (0, 200)
    found = shown["variables"]["ResponseText"]
    assert found["value"].startswith("About “Why?”")
    assert found["expression"] == "response^choices[0]^message^content!"
    assert "planted" not in ended.out + ended.err


async def test_a_runbook_is_drawn_with_every_step_and_where_it_leads(shell, halo):
    ended = await shell.run("runbook", "show", "ask-chatgpt")
    assert (ended.code, ended.err) == (0, "")
    for text in (
        "ask: openai.completions (POST)",
        "reply: create_action on main",
        "no_answer: ends, failed",
        "on failure → no_answer",
        "queue halo.actions.ask",
    ):
        assert text in ended.out
    assert halo.journal.requests == type(halo.journal.requests)()


async def test_the_mermaid_text_names_each_step_and_each_way_once(shell):
    ended = await shell.run("runbook", "show", "ask-chatgpt", "--mermaid")
    lines = ended.out.splitlines()
    assert lines[0] == "flowchart TD"
    assert '  s_reply[["reply: create_action on main"]]' in lines
    assert '  s_ask -->|"on failure"| s_no_answer' in lines
    assert sum(" --> " in line or " -->|" in line for line in lines) == 6
    assert len(lines) == len(set(lines))


async def test_actions_are_listed_and_each_shows_the_json_that_it_expects(shell):
    listed = await shell.run("actions")
    assert listed.code == 0
    assert [name for name in ACTIONS if name not in listed.out] == []
    one = await shell.run("actions", "create_action")
    assert "needs ticket_id, outcome or outcome_id" in one.out
    as_json = orjson.loads((await shell.run("actions", "update_ticket", "--json")).out)
    assert as_json["keeps"] == ["tickettype_id", "client_id"]
    assert as_json["template"]["id"] == 4242
    assert len(orjson.loads((await shell.run("actions", "--json")).out)) == len(ACTIONS) == 20
