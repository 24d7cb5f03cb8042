"""`halo-worker call` with the newer ways of authorization: what is printed, and that no token is."""

import orjson
import pytest
from aiohttp import web

from tests.tools.commands import run_command
from tests.tools.process import write_routes

TOKEN = "marker-token-3b9e"


@pytest.fixture
async def run(tmp_path, api):
    async def on_call(request):
        if request.path == "/login":
            assert "Authorization" not in request.headers
            return web.json_response({"token": TOKEN, "session": {"copy": TOKEN}})
        good = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        return web.json_response({"you": request.headers["Authorization"]}, status=200 if good else 401, headers={"Location": "/things/7"})

    api.on_call = on_call
    methods = {
        "login": {"method": "POST", "path": "/login", "output": {"Token": "response^token!"}},
        "things": {"method": "GET", "path": "/things", "output": {"Where": "headers^Location!", "Code": "status"}},
    }

    async def command(*arguments, auth):
        erp = {"base_url": api.url, "allow_hosts": ["127.0.0.1"], "auth": auth, "methods": methods}
        return await run_command(tmp_path, "call", *arguments, routes=write_routes(tmp_path, {"integrations": {"erp": erp}}))

    return command


LOGIN = {"type": "login", "method": "login", "token": "response^token!"}


async def test_a_method_behind_a_login_shows_its_variables_and_not_the_token(run, api):
    ended = await run("erp.things", "--json", auth=LOGIN)
    shown = orjson.loads(ended.out)
    assert (ended.code, shown["status"], shown["request"]) == (0, 200, f"GET {api.url}/things (login ***)")
    assert {name: each["value"] for name, each in shown["variables"].items()} == {"Where": "/things/7", "Code": 200}
    assert TOKEN not in ended.out + ended.err
    assert [request.path for request in api.calls] == ["/login", "/things"]


@pytest.mark.parametrize("auth", [LOGIN, {"type": "none"}])
@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_a_login_itself_shows_the_shape_of_its_answer_and_masks_the_token_wherever_it_stands(run, api, auth, form):
    ended = await run("erp.login", *form, auth=auth)
    assert ended.code == 0
    assert "copy" in ended.out
    assert "***" in ended.out
    assert TOKEN not in ended.out + ended.err
    assert [request.path for request in api.calls] == ["/login"]
