"""`halo-worker call`, as a process of its own against a real socket."""

import asyncio
import base64
import json
import os
import sys

import pytest
from aiohttp import web

from tests.tools.commands import run_command
from tests.tools.sizes import first

MARK = "marker-8f3a"
ROUTES = """
clients:
  main:
    url: {url}
    token_url: {url}/token
    auth: {{type: client_credentials, client_id: app, client_secret: "${{HIDDEN}}"}}
integrations:
  openai:
    base_url: {url}/v1
    auth: {{type: bearer, token: "${{HIDDEN}}"}}
    allow_hosts: [127.0.0.1]
    methods:
      completions:
        method: POST
        path: /chat/{{Model}}
        query: {{n: "<<N>>", user: "<<request^user>>"}}
        body: {{messages: [{{role: user, content: "say <<Prompt>>"}}]}}
        output:
          Text: response^choices[0]^message^content!
          Other: response^choices[1]^message
          User: request^user
  keyed:
    base_url: {url}
    auth: {{type: api_key, in: query, name: key, value: "${{HIDDEN}}"}}
    methods: {{get: {{method: GET, path: /x}}}}
    allow_hosts: [127.0.0.1]
  ours:
    base_url: {url}/api
    auth: {{type: halo, client: main}}
    allow_hosts: [127.0.0.1]
    methods: {{tickets: {{method: GET, path: /Tickets, output: {{Id: "response[0]^id"}}}}}}
"""


@pytest.fixture
def press(api, tmp_path):
    """Calls a method; gives exit code, standard output and standard error."""
    for name in ("routes", "secrets"):
        (tmp_path / name).mkdir()
    (tmp_path / "routes" / "routes.yaml").write_text(ROUTES.format(url=api.url), "utf-8")

    async def called(name, *inputs, form=()):
        ended = await run_command(tmp_path, "call", name, *form, *(word for text in inputs for word in ("--input", text)), variables={"HIDDEN": MARK})
        assert MARK not in ended.out + ended.err
        return ended.code, ended.out, ended.err

    return called


async def completion(_):
    return web.json_response({"choices": [{"message": {"content": "hello \x1b[31m"}}]})


async def test_it_shows_request_status_answer_and_what_each_variable_found(press, api):
    api.on_call = completion
    code, said, _ = await press("openai.completions", "Prompt=hi", "Model=gpt-4o", "N:=2", 'request:={"user": "jo"}')
    lines = said.splitlines()
    assert code == 0
    assert lines[0] == f"POST {api.url}/v1/chat/gpt-4o?n=2&user=jo (bearer ***)"
    assert lines[1].startswith("200 in ")
    assert '"choices": [' in said
    assert [line.rstrip().split(maxsplit=2) for line in lines[-4:]] == [
        ["variable", "expression", "found"],
        ["Text", "response^choices[0]^message^content!", "hello ␛[31m"],
        ["Other", "response^choices[1]^message", "missing: there is no response^choices[1]"],
        ["User", "request^user", "jo"],
    ]
    assert api.last.headers["Authorization"] == f"Bearer {MARK}"
    assert json.loads(api.bodies[-1]) == {"messages": [{"role": "user", "content": "say hi"}]}


async def test_for_programs_it_prints_json(press, api):
    api.on_call = completion
    code, said, _ = await press("openai.completions", "Prompt=hi", "Model=x", form=["--json"])
    shown = json.loads(said)
    assert (code, shown["status"], shown["fate"]) == (0, 200, "done")
    assert shown["response"] == {"choices": [{"message": {"content": "hello \x1b[31m"}}]}
    assert shown["variables"]["Text"] == {"expression": "response^choices[0]^message^content!", "value": "hello \x1b[31m", "missing": None}
    assert shown["variables"]["Other"] == {"expression": "response^choices[1]^message", "value": None, "missing": "response^choices[1]"}


async def test_a_new_interpreter_calls_as_well_and_warns_of_nothing(press, api, tmp_path):
    """The other tests call from a fork, which does not turn warnings into errors."""
    api.on_call = completion
    environment = os.environ | {"WORKER_ROUTES": str(tmp_path / "routes"), "HIDDEN": MARK}
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    command = (sys.executable, "-W", "error", "-m", "worker", "call", "openai.completions")
    inputs = [word for text in ("Prompt=hi", "Model=x", "N:=2", 'request:={"user": "jo"}') for word in ("--input", text)]
    process = await asyncio.create_subprocess_exec(*command, *inputs, env=environment, **pipes)
    said, complained = await process.communicate()
    assert (process.returncode, complained, len(api.calls)) == (0, b"", 1)
    assert b"hello" in said


async def test_an_answer_that_is_no_success_is_shown_and_the_exit_code_is_1(press, api):
    async def on_call(_):
        return web.json_response({"error": "no such model"}, status=404)

    api.on_call = on_call
    code, said, _ = await press("openai.completions", "Prompt=hi", "Model=x")
    assert code == 1
    assert "404 in " in said
    assert "no such model" in said


async def test_a_key_in_the_query_is_masked(press, api):
    code, said, _ = await press("keyed.get")
    assert (code, said.splitlines()[0]) == (0, f"GET {api.url}/x (query key=***)")
    assert api.last.query["key"] == MARK


async def test_our_own_api_with_the_token_of_a_client(press, api):
    async def on_token(_):
        return web.json_response({"access_token": f"{MARK}-token", "expires_in": 3600})

    async def on_call(request):
        good = request.headers.get("Authorization") == f"Bearer {MARK}-token"
        return web.json_response([{"id": 7}]) if good else web.Response(status=401)

    api.on_token, api.on_call = on_token, on_call
    code, said, _ = await press("ours.tickets")
    assert code == 0
    assert "(token of client main)" in said
    assert said.splitlines()[-1].split() == ["Id", "response[0]^id", "7"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["openai.completion"], 1, "halo-worker: there is no method 'openai.completion'; did you mean openai.completions?"),
        (["openai.completions", "Prompt"], 2, "--input: write name=text or name:=JSON, not 'Prompt'"),
        (["openai.completions", "Model=../x"], 1, "halo-worker: openai.completions: a variable of the path holds a slash"),
    ],
)
async def test_what_cannot_be_called_is_one_sentence(press, api, arguments, code, sentence):
    ended, said, complained = await press(*arguments)
    assert (ended, said, api.calls) == (code, "", [])
    assert complained.startswith(sentence)
    assert len(complained.splitlines()) == 1


def echoing(*texts):
    async def on_call(request):
        sent = {"authorization": request.headers.get("Authorization"), "url": str(request.rel_url), "choices": [{"message": {"content": texts[0]}}]}
        return web.json_response(sent | {"texts": texts, texts[0]: "as a name"}, status=400)

    return on_call


@pytest.mark.parametrize("form", first(1, [(), ("--json",)]))
@pytest.mark.parametrize("method", ["openai.completions", "keyed.get"])
async def test_an_api_that_quotes_the_key_does_not_get_it_onto_the_screen(press, api, method, form):
    """`press` looks for the key itself; here for its other forms."""
    in_base64 = base64.b64encode(f"sam:{MARK}".encode()).decode()
    api.on_call = echoing(f"the key {MARK} is not valid", f"Basic {in_base64}", f'"{MARK}"')
    inputs = ("Prompt=hi", "Model=x") if method.startswith("openai") else ()
    code, said, _ = await press(method, *inputs, form=form)
    assert code == 1
    assert "the key *** is not valid" in said
    assert in_base64[8:20] not in said


async def token(_):
    return web.json_response({"access_token": "token-of-the-moment", "token_type": "Bearer", "expires_in": 3600})


async def test_a_token_that_was_asked_for_is_masked_as_well(press, api):
    api.on_call = echoing("x")
    api.on_token = token
    _, said, _ = await press("ours.tickets", form=["--json"])
    assert '"authorization": "Bearer ***"' in said
