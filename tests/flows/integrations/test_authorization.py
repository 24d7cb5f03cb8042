"""Every way to prove who we are, against a server that checks it, and nothing of it where people can read."""

import asyncio
import base64
from contextlib import AsyncExitStack

import pytest
import structlog
from aiohttp import web

from tests.tools.ports import free_port
from worker.config.automation import IntegrationAuth
from worker.config.integration_parts import PagingRule
from worker.config.routes import Client, Grant, RateLimit
from worker.config.variables import parse_variable
from worker.core.clock import SystemClock
from worker.core.errors import CallRefused, ConfigError
from worker.core.exchange import RequestResult
from worker.core.health import Health
from worker.halo.budget import Budgets
from worker.halo.client import open_client

MARK = "marker-8f3a"
OAUTH = {"type": "oauth2", "client_id": "app", "client_secret": MARK, "scopes": ("read", "write")}


class Checks:
    """Turns the api into one that wants tokens that it has given itself, or what `expects` says."""

    def __init__(self, api):
        self.api = api
        self.valid = set()
        self.seen = []
        self.expects = None
        self.refuses = None
        self.expires_in = 3600
        api.on_call, api.on_token = self.on_call, self.on_token

    async def on_token(self, _):
        await asyncio.sleep(0)
        if self.refuses:
            return web.json_response({"error": self.refuses}, status=401)
        token = f"{MARK}-{len(self.api.grants)}"
        self.valid.add(token)
        return web.json_response({"access_token": token, "expires_in": self.expires_in})

    async def on_call(self, request):
        given = request.headers.get("Authorization", "")
        self.seen.append(given)
        good = self.expects(request) if self.expects else given.removeprefix("Bearer ") in self.valid
        return web.json_response({"ok": True}) if good else web.Response(status=401)


@pytest.fixture
def checks(api):
    return Checks(api)


@pytest.fixture
async def halo(api, metrics):
    """A client of the api, taken for Halo, and its budget."""
    async with AsyncExitStack() as stack:

        async def opened(limit=None, **members):
            clock = SystemClock()
            client = Client("main", api.url, Grant("client_credentials", "app", MARK), token_url=f"{api.url}/token", rate_limit=limit, **members)
            return await stack.enter_async_context(open_client(client, Budgets([client], clock), metrics, Health(), clock))

        yield opened


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"type": "basic", "username": "jö", "password": f"{MARK}:x"}, {"Authorization": "Basic " + base64.b64encode(f"jö:{MARK}:x".encode()).decode()}),
        ({"type": "bearer", "token": MARK}, {"Authorization": f"Bearer {MARK}"}),
        ({"type": "api_key", "name": "X-Api-Key", "value": MARK}, {"X-Api-Key": MARK}),
        ({"type": "api_key", "name": "Authorization", "value": f"Token {MARK}"}, {"Authorization": f"Token {MARK}"}),
    ],
)
async def test_fixed_headers(call, checks, auth, expected):
    checks.expects = lambda request: all(request.headers.getall(name) == [value] for name, value in expected.items())
    assert (await (await call(auth=IntegrationAuth(**auth), headers={"x-api-key": "the method's own"}))()).ok


async def test_without_authorization_none_is_sent(call, checks):
    checks.expects = lambda request: "Authorization" not in request.headers
    assert (await (await call())()).ok


async def test_a_key_in_the_query_stands_beside_the_methods_own_parameters_and_over_one_of_its_name(call, checks):
    key = f"{MARK}&=/ +"
    checks.expects = lambda request: sorted(request.query.items()) == [("a", "1 2"), ("key", key)]
    auth = IntegrationAuth("api_key", place="query", name="key", value=key)
    assert (await (await call(auth=auth, query={"a": "1 2", "key": "the method's own"}))()).ok


@pytest.mark.parametrize("status", [401, 403])
async def test_a_fixed_authorization_that_is_not_accepted_is_not_tried_again(call, api, status):
    async def on_call(_):
        return web.json_response({"error": "no"}, status=status)

    api.on_call = on_call
    exchange = await (await call(auth=IntegrationAuth("bearer", token=MARK)))()
    assert (exchange.result, exchange.status, exchange.body, len(api.calls)) == (RequestResult.AUTH, status, {"error": "no"}, 1)


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {"grant_type": "client_credentials", "client_id": "app", "client_secret": MARK, "scope": "read write"}),
        (
            {"grant": "password", "username": "jo", "password": f"{MARK}-pw", "scopes": (), "client_secret": None},
            {"grant_type": "password", "client_id": "app", "username": "jo", "password": f"{MARK}-pw"},
        ),
    ],
)
async def test_both_grants_of_oauth2(call, api, checks, more, sent):
    go = await call(auth=IntegrationAuth(**OAUTH | {"token_url": f"{api.url}/token"} | more))
    assert (await go()).ok
    assert (await go()).ok
    assert api.grants == [sent]


async def test_calls_that_come_together_ask_for_one_token(call, api, checks):
    go = await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token"))
    exchanges = await asyncio.gather(*(go() for _ in range(20)))
    assert all(exchange.ok for exchange in exchanges)
    assert len(api.grants) == 1


async def test_a_rejected_token_is_replaced_once_for_all_and_each_call_is_repeated_once(call, api, checks):
    go = await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token"), verb="POST", body={"a": 1})
    await go()
    checks.valid.clear()
    exchanges = await asyncio.gather(*(go() for _ in range(10)))
    assert all(exchange.ok for exchange in exchanges)
    assert len(api.grants) == 2
    assert api.bodies == [b'{"a":1}'] * len(api.bodies)


async def test_a_token_that_is_rejected_although_it_is_new_ends_the_call(call, api, checks):
    checks.expects = lambda _: False
    exchange = await (await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token")))()
    assert (exchange.result, exchange.status) == (RequestResult.AUTH, 401)
    assert (len(api.grants), checks.seen) == (2, [f"Bearer {MARK}-1", f"Bearer {MARK}-2"])


async def test_a_token_that_is_nearly_over_is_renewed_while_the_calls_go_on(call, api, checks, until):
    class Moved(SystemClock):
        ahead = 0.0

        def monotonic(self):
            return super().monotonic() + self.ahead

    clock = Moved()
    go = await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token"), clock=clock)
    await go()
    clock.ahead = 3600 * 0.9
    assert (await go()).ok
    await until(lambda: len(api.grants) == 2)
    await until(lambda: f"{MARK}-2" in checks.valid)
    while checks.seen[-1] != f"Bearer {MARK}-2":
        assert (await go()).ok


@pytest.mark.parametrize("refuses", ["invalid_client", "invalid_scope", "unauthorized_client", "invalid_grant"])
async def test_without_a_token_nothing_is_sent_and_the_reason_says_why(call, api, checks, refuses):
    checks.refuses = refuses
    exchange = await (await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token")))()
    assert exchange.result is RequestResult.NOT_SENT
    assert exchange.reason.startswith("no token: ")
    assert refuses in exchange.reason
    assert MARK not in exchange.reason
    assert api.calls == []


async def test_the_token_endpoint_is_guarded_too(call, api, inside, checks):
    auth = IntegrationAuth(**OAUTH, token_url=f"http://127.0.0.1:{inside.port}/token")
    exchange = await (await call(auth=auth, allow=(("127.0.0.1", api.port),)))()
    assert exchange.result is RequestResult.NOT_SENT
    assert "allow_hosts" in exchange.reason
    assert (inside.connections, api.calls) == (0, [])


async def test_our_own_api_is_called_with_the_clients_token(call, api, checks, halo):
    client = await halo()
    go = await call(auth=IntegrationAuth("halo", client="main"), clients={"main": client}, allow=(), path=("/api/Tickets",))
    assert (await go()).ok
    checks.valid.clear()
    assert (await go()).ok
    assert checks.seen[-1] == f"Bearer {MARK}-2"
    assert len(api.grants) == 2


async def test_our_own_api_is_called_through_the_clients_proxy_and_with_its_headers(call, api, checks, halo):
    own = "http://halo.invalid"
    client = await halo(api_url=own, proxy=api.url, headers={"X-Tenant": "acme"})
    go = await call(base_url=f"{own}/api", auth=IntegrationAuth("halo", client="main"), clients={"main": client}, allow=(), path=("/Tickets",))
    assert (await go()).ok
    assert (api.last.host, api.last.path, api.last.headers["X-Tenant"]) == ("halo.invalid", "/api/Tickets", "acme")


async def test_our_own_api_is_called_within_the_clients_budget(call, api, checks, halo):
    client = await halo(RateLimit(3, 3600))
    go = await call(auth=IntegrationAuth("halo", client="main"), clients={"main": client})
    await go()  # the third place is the token's
    await go()
    waiting = asyncio.create_task(go())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert (done, len(api.calls), client.access.budget.waiting) == (set(), 2, 1)
    client.stop_waiting()
    exchange = await waiting
    assert (exchange.result, exchange.reason) == (RequestResult.NOT_SENT, "the worker stopped before the request was sent")


async def test_a_429_of_our_own_api_holds_up_the_client_too(call, api, checks, halo):
    async def on_call(_):
        return web.Response(status=429, headers={"Retry-After": "7"})

    client = await halo()
    api.on_call = on_call
    exchange = await (await call(auth=IntegrationAuth("halo", client="main"), clients={"main": client}))()
    assert (exchange.result, exchange.retry_after) == (RequestResult.THROTTLED, 7.0)
    assert client.access.budget._delay() > 5


async def test_each_page_of_our_own_api_takes_a_turn_of_the_clients_budget(call, api, checks, halo):
    client = await halo(RateLimit(100, 300.0))

    async def on_call(request):
        number = int(request.query.get("after", "0"))
        return web.json_response({"items": [number], "mark": number + 1 if number < 4 else None})

    api.on_call = on_call
    pages = PagingRule(parse_variable("response^items"), cursor="after", value=parse_variable("response^mark"))
    exchange = await (await call(auth=IntegrationAuth("halo", client="main"), clients={"main": client}, allow=(), pages=pages))()
    assert exchange.body["items"] == [0, 1, 2, 3, 4]
    assert client.access.budget.used == 6  # five pages and the token


async def test_what_was_not_sent_is_not_counted_in_the_clients_budget(call, checks, halo):
    nowhere = f"http://127.0.0.1:{free_port()}"
    client = await halo(RateLimit(5, 3600), api_url=nowhere)
    exchange = await (await call(base_url=nowhere, auth=IntegrationAuth("halo", client="main"), clients={"main": client}))()
    assert exchange.result is RequestResult.NOT_SENT
    assert client.access.budget.used == 1  # the token


async def test_a_call_that_is_under_way_comes_to_its_end_when_the_worker_stops(call, api, checks, until):
    go_on = asyncio.Event()

    async def on_call(_):
        await go_on.wait()
        return web.json_response({"ok": True})

    api.on_call = on_call
    going = asyncio.create_task((await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token")))())
    await until(lambda: api.bodies)
    call.callers[-1].stop_waiting()
    await asyncio.wait([going], timeout=0.05)
    go_on.set()
    assert (await going).ok


async def test_a_clients_token_goes_to_its_own_host_only(call, inside, halo):
    with pytest.raises(ConfigError, match="own host"):
        await call(base_url=f"http://127.0.0.1:{inside.port}", auth=IntegrationAuth("halo", client="main"), clients={"main": await halo()})
    with pytest.raises(ConfigError, match="no client 'second'"):
        await call(auth=IntegrationAuth("halo", client="second"), clients={"main": await halo()})
    assert inside.connections == 0


async def test_waiting_for_a_token_ends_when_the_worker_stops(api, checks, metrics, call, until):
    blocked = asyncio.Event()

    async def on_token(_):
        await blocked.wait()
        return web.json_response({})

    api.on_token = on_token
    go = await call(auth=IntegrationAuth(**OAUTH, token_url=f"{api.url}/token"))
    waiting = asyncio.create_task(go())
    await until(lambda: api.grants)
    call.callers[-1].stop_waiting()
    assert (await waiting).reason == "the worker stopped before the request was sent"
    blocked.set()


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "api_key", "name": "Host", "value": MARK},
        {"type": "api_key", "name": "X Key", "value": MARK},
        {"type": "api_key", "name": "X-Key", "value": f"{MARK}\r\nX-Evil: 1"},
        {"type": "bearer", "token": f"{MARK}\n"},
        {"type": "oauth2", "client_id": "app", "token_url": f"https://u:{MARK}@auth.example"},
        {"type": "oauth2", "client_id": "app"},
    ],
)
async def test_an_authorization_that_can_never_work_is_a_mistake_of_the_configuration(call, auth):
    with pytest.raises(ConfigError) as refused:
        await call(auth=IntegrationAuth(**auth))
    assert str(refused.value).startswith("integration api: ")
    assert MARK not in str(refused.value)


AUTHS = [
    {"type": "basic", "username": "u", "password": MARK},
    {"type": "bearer", "token": MARK},
    {"type": "api_key", "name": "X-Key", "value": MARK},
    {"type": "api_key", "place": "query", "name": "key", "value": MARK},
    OAUTH | {"token_url": "{}/token", "password": MARK, "grant": "password"},
]


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("trouble", ["none", "refused", "echo", "gone", "bad_value"])
async def test_no_secret_and_no_value_is_in_logs_errors_metrics_or_reprs(call, api, checks, metrics, auth, trouble):
    async def echo(request):
        if trouble == "gone":
            request.transport.close()
        return web.Response(status=400 if trouble == "echo" else 200, text=f"{request.headers} {request.query_string} {await request.text()}")

    checks.refuses = "invalid_client" if trouble == "refused" else None
    api.on_call = echo
    auth = IntegrationAuth(**auth | ({"token_url": auth["token_url"].format(api.url)} if "token_url" in auth else {}))
    told = [repr(auth), str(auth)]
    with structlog.testing.capture_logs() as logs:
        go = await call(auth=auth, verb="POST", path=("/a/", "<<P>>"), query={"q": "<<V>>"}, headers={"X-V": "<<V>>"}, body={"v": "<<V>>"})
        try:
            exchange = await go(V=f"{MARK}-value" + ("\n" if trouble == "bad_value" else ""), P=f"{MARK}-path")
        except CallRefused as refused:
            told.append(str(refused))
        else:
            told.append(exchange.reason)
    told += [str(logs), str([sample for metric in metrics.registry.collect() for sample in metric.samples])]
    assert [text for text in told if MARK in text] == []
    (line,) = [entry for entry in logs if entry["event"] == "method.called"]
    assert line.keys() == {"event", "log_level", "method", "verb", "host", "status", "fate", "ms"}
    assert (line["method"], line["verb"], line["host"]) == ("api.method", "POST", f"127.0.0.1:{api.port}")
