"""An API with a login of its own: one login for all methods, again when its token is refused or over, and its token nowhere that people or messages could see it."""

import asyncio
import re

import pytest
import structlog
from aiohttp import web

from worker.config.automation import IntegrationAuth, Method
from worker.config.integration_parts import Login
from worker.config.run_templates import compile_run_template
from worker.config.variables import parse_variable
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError
from worker.core.exchange import RequestResult

TOKEN = "marker-token-55d1"


def login_auth(token="response^token!", expires_in="response^expires_in", **more):
    credentials = {name: more.pop(name) for name in ("username", "password") if name in more}
    return IntegrationAuth("login", **credentials, login=Login("login", parse_variable(token), parse_variable(expires_in), **more))


def login_method(**parts):
    body = compile_run_template({"user": "jo", "password": "marker-password"})
    return Method("login", "api", "POST", ("/login",), body=body, **parts)


class Sessions:
    """An API whose `/login` gives tokens; it takes only those that are valid."""

    def __init__(self, api):
        self.api, self.valid, self.logins, self.seen = api, set(), [], []
        self.answer = lambda token: web.json_response({"token": token})
        self.header, self.prefix = "Authorization", "Bearer "
        self.on_thing = lambda _: web.json_response({"ok": True})
        api.on_call = self.on_call

    async def on_call(self, request):
        if request.path == "/login":
            self.logins.append(request)
            await asyncio.sleep(0)
            token = f"{TOKEN}-{len(self.logins)}"
            self.valid.add(token)
            return self.answer(token)
        self.seen.append(request.headers.get(self.header, ""))
        given = self.seen[-1].removeprefix(self.prefix)
        return self.on_thing(given) if given in self.valid else web.json_response({"error": f"bad {given}"}, status=401)


@pytest.fixture
def sessions(api):
    return Sessions(api)


@pytest.fixture
async def thing(call, sessions):
    async def made(clock=None, **more):
        return await call(auth=login_auth(**more), beside=[login_method()], clock=clock)

    return made


async def test_one_login_serves_fifty_calls_at_once_and_those_that_follow(thing, sessions):
    go = await thing()
    exchanges = await asyncio.gather(*(go() for _ in range(50)))
    assert all(exchange.ok for exchange in exchanges)
    assert (await go()).ok
    assert (len(sessions.logins), set(sessions.seen)) == (1, {f"Bearer {TOKEN}-1"})
    assert sessions.api.bodies[0] == b'{"user":"jo","password":"marker-password"}'
    assert "Authorization" not in sessions.logins[0].headers


async def test_a_refused_token_is_renewed_once_under_fifty_calls_and_each_is_sent_again_once(thing, sessions):
    go = await thing()
    await go()
    sessions.valid.clear()
    exchanges = await asyncio.gather(*(go() for _ in range(50)))
    assert all(exchange.ok for exchange in exchanges)
    assert len(sessions.logins) == 2


async def test_a_token_that_is_refused_although_it_is_new_ends_the_call(thing, sessions):
    go = await thing()
    sessions.header = "X-Other"
    exchange = await go()
    assert (exchange.result, exchange.status, len(sessions.logins)) == (RequestResult.AUTH, 401, 2)


async def test_a_token_is_renewed_before_the_end_that_the_answer_states(thing, sessions):
    class Moved(SystemClock):
        ahead = 0.0

        def monotonic(self):
            return super().monotonic() + self.ahead

    sessions.answer = lambda token: web.json_response({"token": token, "expires_in": "600"})
    clock = Moved()
    go = await thing(clock)
    await go()
    clock.ahead = 601.0
    assert (await go()).ok
    assert (len(sessions.logins), sessions.seen[-1]) == (2, f"Bearer {TOKEN}-2")


async def test_without_a_stated_end_a_token_serves_until_it_is_refused(thing, sessions):
    class Later(SystemClock):
        def monotonic(self):
            self.calls = getattr(self, "calls", 0) + 1
            return super().monotonic() + self.calls * 86400.0

    go = await thing(Later())
    assert [(await go()).ok for _ in range(3)] == [True] * 3
    assert len(sessions.logins) == 1


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        ("headers^x-auth-token!", lambda token: web.Response(headers={"X-Auth-Token": token})),
        ("cookies^session!", lambda token: web.Response(headers={"Set-Cookie": f"session={token}; Path=/; HttpOnly"})),
        ("response^d[0]^t", lambda token: web.json_response({"d": [{"t": token}]})),
        ("response", web.json_response),
    ],
)
async def test_a_token_is_found_wherever_the_answer_holds_it(thing, sessions, token, answer):
    sessions.answer = answer
    assert (await (await thing(token=token))()).ok


async def test_a_token_goes_in_the_header_and_behind_the_prefix_that_the_file_names(thing, sessions):
    sessions.header, sessions.prefix = "Cookie", "session="
    assert (await (await thing(header="Cookie", prefix="session="))()).ok
    assert sessions.seen == [f"session={TOKEN}-1"]


async def test_a_login_can_send_a_user_name_and_password_as_basic_authorization(thing, sessions):
    assert (await (await thing(username="jo", password="marker"))()).ok
    assert sessions.logins[0].headers["Authorization"] == "Basic am86bWFya2Vy"


@pytest.mark.parametrize(
    ("answer", "fate", "reason"),
    [
        (lambda _: web.json_response({"error": TOKEN}, status=401), RequestResult.NOT_SENT, "the login api.login failed: .* answered 401"),
        (lambda _: web.json_response({"other": TOKEN}), RequestResult.NOT_SENT, "holds none at response\\^token"),
        (lambda _: web.json_response({"token": ""}), RequestResult.NOT_SENT, "holds none"),
        (lambda _: web.json_response({"token": {"a": TOKEN}}), RequestResult.NOT_SENT, "holds none"),
        (lambda _: web.json_response({"token": f"{TOKEN}\r\nX-Evil: 1"}), RequestResult.NOT_SENT, "no header can carry"),
        (lambda _: web.json_response({"token": f"{TOKEN}\u00e9"}), RequestResult.NOT_SENT, "no header can carry"),
        (lambda _: web.json_response({"token": "a" * 20_000}), RequestResult.NOT_SENT, "no header can carry"),
        (lambda _: web.Response(status=302, headers={"Location": f"http://127.0.0.1:1/?t={TOKEN}"}), RequestResult.NOT_SENT, "a redirect to 127.0.0.1, which is not followed"),
    ],
)  # fmt: skip
async def test_a_login_that_brings_no_usable_token_is_told_without_its_answer_and_nothing_is_sent(thing, sessions, answer, fate, reason):
    sessions.answer = answer
    with structlog.testing.capture_logs() as logs:
        exchange = await (await thing())()
    assert exchange.result is fate
    assert re.search(reason, exchange.reason)
    assert (TOKEN in exchange.reason, TOKEN in str(logs), sessions.seen) == (False, False, [])


async def test_a_token_is_in_no_log_and_in_no_answer_that_quotes_it(thing, sessions, call, metrics):
    sessions.on_thing = lambda given: web.json_response({"you_sent": f"Bearer {given}"}, headers={"X-Echo": given, "Set-Cookie": f"t={given}"})
    with structlog.testing.capture_logs() as logs:
        exchange = await (await thing())()
        sessions.valid.clear()
        sessions.answer = lambda _: web.json_response({"token": f"{TOKEN}-9"})
        refused = await (await thing())()
    assert (exchange.ok, refused.status) == (True, 401)
    for seen in (exchange.body, exchange.headers, exchange.cookies, exchange.reason, refused.body, refused.reason, logs):
        assert TOKEN not in str(seen)
    assert call.callers[0].secrets("api")[-1] == f"{TOKEN}-1"


async def test_a_login_that_was_refused_is_not_asked_again_for_each_call(thing, sessions):
    sessions.answer = lambda _: web.json_response({}, status=403)
    go = await thing()
    exchanges = await asyncio.gather(*(go() for _ in range(20)))
    exchanges.append(await go())
    assert ({exchange.result for exchange in exchanges}, len(sessions.logins)) == ({RequestResult.NOT_SENT}, 1)


@pytest.mark.parametrize("header", ["Host", "Content-Length", "transfer_encoding", "Connection", "X\r\nEvil"])
async def test_a_token_goes_in_no_header_of_the_connection(call, sessions, header):
    with pytest.raises(ConfigError, match="cannot be set"):
        await call(auth=login_auth(header=header), beside=[login_method()])
