"""`start --dry-run` shows writes and sends none; `start` and `call` end by themselves."""

from __future__ import annotations

import orjson
import pytest

from tests.flows.runbooks.conftest import Api, integration, serving_api
from tests.tools.commands import run_command
from tests.tools.job import client
from tests.tools.process import write_routes

NOTE = {"action": "create_action", "client": "main", "body": {"ticket_id": 7, "outcome": "Note", "note_html": "<<Text>>"}}
STEPS = {
    "read": {"method": "api.get", "output": {"Name": "response^name!"}, "next": "ask"},
    "ask": {"method": "api.post", "output": {"Text": "response^text!"}, "next": [{"when": "{{ Text }}", "go": "note"}, {"go": "nothing"}]},
    "note": NOTE,
    "nothing": {"end": "failed", "reason": "no text"},
}


@pytest.fixture
async def api():
    async with serving_api(Api()) as api:
        yield api


@pytest.fixture
async def halo(halos):
    return await halos()


@pytest.fixture
def run(tmp_path, halo, api: Api):
    definitions = {
        "clients": {"main": client(halo)},
        "integrations": {"api": integration(api)},
        "runbooks": {"rb": {"start": {"queue": "go"}, "first": "read", "steps": STEPS}},
    }

    async def command(*arguments: str, auth: object = None, others: dict[str, object] | None = None, **steps: object):
        definitions["integrations"]["api"] = integration(api, login={"method": "POST", "path": "/login"}) | ({"auth": auth} if auth else {})
        definitions["runbooks"]["rb"]["steps"] = STEPS | steps
        definitions["runbooks"] |= others or {}
        return await run_command(tmp_path, *arguments, routes=write_routes(tmp_path, definitions))

    return command


async def test_reads_are_sent_writes_are_shown_and_a_given_answer_leads_the_run_on(run, api, halo):
    ended = await run("start", "rb", "--dry-run", "--answer", 'api.post:={"text": "hello"}')
    assert (ended.code, ended.err) == (0, "")
    assert [call.method for call in api.calls] == ["GET"]
    assert halo.journal.executed("POST") == []
    shown = [line.strip() for line in ended.out.splitlines()]
    assert f"POST {api.url}/things" in shown
    assert '{"name":"Ada"}' in shown
    assert "POST /Actions" in shown
    assert '[{"ticket_id":7,"outcome":"Note","note_html":"hello"}]' in shown
    assert shown[-1] == "dry run: no write was sent"


async def test_a_dry_run_waits_for_nothing_publishes_nothing_and_follows_what_it_starts(run, api):
    tell = {"publish": {"exchange": "billing", "routing_key": "done", "body": "<<Name>>"}, "next": "more"}
    more = {"start": "other", "input": {"Id": "{{ 9 }}"}, "wait": True, "next": "ask"}
    child = {"input": {"Id": "request^id"}, "first": "drop", "steps": {"drop": {"method": "api.delete"}}}
    ended = await run(
        "start", "rb", "--dry-run", "--answer", 'api.post:={"text": "hello"}', others={"other": child},
        read=STEPS["read"] | {"next": "pause"}, pause={"wait": "30d", "next": "tell"}, tell=tell, more=more,
    )  # fmt: skip
    assert (ended.code, ended.err) == (0, "")
    shown = [line.strip() for line in ended.out.splitlines()]
    assert any(line.startswith("pause") and line.endswith("pause → tell, in 30d") for line in shown)
    assert "event to exchange billing, routing key done" in shown
    assert any(line.startswith("other: drop") for line in shown)
    assert shown[-1] == "dry run: no write was sent and no message published"


async def test_without_an_answer_the_run_says_what_it_took_for_one(run, api):
    ended = await run("start", "rb", "--dry-run")
    assert ended.code == 1
    assert "its answer is taken as an empty 200: --answer 'api.post:=JSON' gives another" in ended.out
    assert [call.method for call in api.calls] == ["GET"]


async def test_json_has_the_requests_that_were_not_sent_with_their_steps(run):
    ended = await run("start", "rb", "--dry-run", "--json", "--answer", 'api.post:={"text": "hello"}')
    steps = {step["step"]: step.get("not_sent") for step in orjson.loads(ended.out)["steps"]}
    assert steps["read"] == []
    assert steps["note"] == [{"method": "POST", "path": "/Actions", "body": [{"ticket_id": 7, "outcome": "Note", "note_html": "hello"}]}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dry-run", "--answer", "api.post"), "--answer: an answer is METHOD:=JSON"),
        (("--dry-run", "--answer", "api.pst:={}"), "--answer: 'api.pst' answers nothing: write a request line such as `POST /Actions`, or a method that the runbook calls"),
        (("--dry-run", "--answer", "api.post:={"), "--answer: the answer of api.post: the body is not JSON"),
        (("--answer", "api.post:={}"), "--answer: it is for `--dry-run`"),
    ],
)  # fmt: skip
async def test_an_answer_that_would_be_given_to_nothing_is_refused_before_anything_is_sent(run, api, arguments, told):
    ended = await run("start", "rb", *arguments)
    assert (ended.code, api.calls) == (2, [])
    assert ended.err.startswith(told)


async def test_a_run_that_waits_for_a_retry_ends_with_the_time_limit_and_says_what_it_waited_for(run, api):
    api.answers((500, {}))
    ended = await run("start", "rb", "--timeout", "2s", read=STEPS["read"] | {"retry": ["1h"]})
    assert ended.code == 1
    assert "the run did not end within 2s: it waited for the next attempt of step 'read' in 1h (step 'read': " in ended.err


async def test_a_call_that_is_not_answered_ends_with_the_time_limit_and_names_what_it_waited_for(run, api):
    async def never(_call):
        from asyncio import Event

        await Event().wait()

    api.on_call = never
    ended = await run("call", "api.get", "--timeout", "1s")
    assert ended.code == 1
    assert f"the call did not end within 1s: it waited for the answer of {api.url}" in ended.out


@pytest.mark.parametrize("limit", ["0s", "5", "soon"])
async def test_a_time_limit_that_is_none_is_refused(run, limit):
    ended = await run("start", "rb", "--timeout", limit)
    assert ended.code == 2
    assert ended.err.startswith("--timeout: ")


async def test_a_login_is_done_for_the_reads_and_its_token_is_shown_nowhere(run, api):
    async def on_call(asked):
        if asked.path == "/login":
            return 200, {"token": "marker-token-91"}
        return (200, {"name": "Ada"}) if asked.headers["Authorization"] == "Bearer marker-token-91" else (401, {})

    api.on_call = on_call
    auth = {"type": "login", "method": "login", "token": "response^token!"}
    ended = await run("start", "rb", "--dry-run", "--json", "--answer", 'api.post:={"text": "hello"}', auth=auth)
    assert (ended.code, [(call.method, call.path) for call in api.calls]) == (0, [("POST", "/login"), ("GET", "/things")])
    assert "marker-token" not in ended.out + ended.err
