"""Credentials of other APIs in whole runs: where a token may be seen, and where it must not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from tests.flows.runbooks.conftest import Api, Call, call, play
from worker.cli.dead.inspect import headers_and_body
from worker.core.delivery_state import DeliveryState
from worker.flows.dead.letter import Letter

TOKEN = "marker-token-71c4"
LOGIN = {"method": "POST", "path": "/login", "body": {"user": "jo"}}
THINGS = {"method": "GET", "path": "/things"}
FAILED = {"end": "failed", "reason": "no things with <<Token>> for <<Name>>"}


@pytest.fixture
def guarded(api: Api) -> Api:
    """Gives a token to a login, and refuses every other call that does not carry it; `answer` is what the others get."""

    async def on_call(asked: Call) -> tuple[int, Any]:
        if asked.path == "/login":
            return 200, {"token": TOKEN, "sid": TOKEN, "user": "jo"}
        carried = asked.headers.get("Authorization") == f"Bearer {TOKEN}"
        return (404, {"error": f"no things for {TOKEN}"}) if carried else (401, {})

    api.on_call = on_call
    return api


def shown_by_dead_show(dead: Any, *, reveal: bool = False) -> Any:
    """Headers and body as `halo-worker dead show` prints them."""
    letter = Letter("id", "failed", "", None, None, datetime.now(UTC), b"", DeliveryState("id", ""))
    return headers_and_body(letter, dead.message, reveal=reveal)


async def test_a_token_of_a_login_step_goes_on_in_a_header_and_every_display_masks_it(memory_job, guarded):
    methods = {
        "login": LOGIN | {"output": {"Token": "response^token!"}},
        "things": THINGS | {"headers": {"Authorization": "Bearer <<Token>>"}},
    }
    steps = {"login": call("login", in_doubt="repeat", next="things"), "things": call("things", retry=[], on_failure="failed"), "failed": FAILED}
    with structlog.testing.capture_logs() as logs:
        scene = await play(memory_job, guarded, steps, methods=methods)
        await scene.begin()
        dead = await scene.letter()
    assert [asked.path for asked in guarded.calls] == ["/login", "/things"]
    assert (dead.headers["dead-class"], dead.headers["dead-reason"]) == ("failed", "no things with *** for Ada")
    assert TOKEN in str(dead.body)  # a replay goes on with it
    shown = shown_by_dead_show(dead)
    assert shown[1]["variables"] == {"Name": "Ada", "Number": 7, "Token": "***"}
    for seen in (shown, logs):
        assert TOKEN not in str(seen)
    assert TOKEN in str(shown_by_dead_show(dead, reveal=True))


async def test_the_answer_of_a_login_repeats_the_token_under_other_names_and_is_masked_too(memory_job, guarded):
    methods = {"login": LOGIN | {"output": {"Token": "response^token!"}}}
    steps = {"login": call("login", in_doubt="repeat", next="failed"), "failed": FAILED}
    scene = await play(memory_job, guarded, steps, methods=methods)
    await scene.begin()
    dead = await scene.letter()
    assert dead.body["response"]["sid"] == TOKEN
    _, body = shown_by_dead_show(dead)
    assert (body["response"], body["variables"]["Token"]) == ({"token": "***", "sid": "***", "user": "jo"}, "***")


async def test_a_shared_login_leaves_no_token_in_any_message_or_letter(memory_job, guarded):
    auth = {"type": "login", "method": "login", "token": "response^token!"}
    steps = {
        "things": call("things", retry=[], on_failure="again"),
        "again": call("things", retry=[], output={"Error": "response^error!"}, on_failure="failed"),
        "failed": {"end": "failed", "reason": "<<response^error>> <<Name>>"},
    }
    with structlog.testing.capture_logs() as logs:
        scene = await play(memory_job, guarded, steps, methods={"login": LOGIN, "things": THINGS}, auth=auth)
        await scene.begin()
        dead = await scene.letter()
    assert [asked.path for asked in guarded.calls] == ["/login", "/things", "/things"]
    for seen in (str(dead.body), dead.headers, logs):
        assert TOKEN not in str(seen)
    assert dead.body["response"] == {"error": "no things for ***"}


async def test_headers_cookies_and_the_status_become_variables_and_travel_no_further(memory_job, api):
    api.headers = {"Location": "/things/7", "Set-Cookie": "session=abc; Path=/", "X-Other": "unseen"}
    api.answers((201, {"id": 7}))
    output = {"Where": "headers^LOCATION!", "Session": "cookies^session!", "Code": "status"}
    steps = {
        "make": call("post", in_doubt="repeat", output=output, next="failed"),
        "failed": {"end": "failed", "reason": "<<Where>> <<Session>> <<Code>>"},
    }
    scene = await play(memory_job, api, steps)
    await scene.begin()
    dead = await scene.letter()
    assert dead.headers["dead-reason"] == "/things/7 abc 201"
    assert "unseen" not in str(dead.body)
