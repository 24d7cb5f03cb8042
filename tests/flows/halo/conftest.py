"""A Halo on a real socket whose answers each test writes itself, and a client that calls it."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from tests.tools.ports import free_port
from worker.config.routes import Client, Grant
from worker.core.exchange import Priority, Request
from worker.halo.budget import Budgets
from worker.halo.client import open_client

SECRET = "marker-secret-7f3a"


class RealClock:
    def monotonic(self):
        return time.monotonic()

    def now(self):
        return time.time()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class QuickClock(RealClock):
    """Sleeps take no time but move the clock, so that a floor of a minute is over at once."""

    def __init__(self):
        self.ahead = 0.0
        self.slept = []

    def monotonic(self):
        return time.monotonic() + self.ahead

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.ahead += seconds
        await asyncio.sleep(0)


class ScriptedHalo:
    """`on_api` and `on_token` answer; `calls` and `grants` tell what arrived. A token is valid until `revoke`. With `tls`, an SSLContext, it speaks https."""

    def __init__(self, port, tls=None):
        self.port = port
        self.tls = tls
        self.calls = []
        self.grants = []
        self.valid = set()
        self.on_api = None
        self.on_token = None
        self.on_info = None
        self.runner = None

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def counts(self):
        return Counter(f"{method} {path}" for method, path in self.calls)

    def revoke(self):
        self.valid.clear()

    def give_token(self, **more):
        token = f"marker-token-{len(self.grants)}"
        self.valid.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 3600} | more)

    async def start(self):
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/auth/token", self._token)
        app.router.add_get("/api/authinfo", self._info)
        app.router.add_route("*", "/{path:.*}", self._api)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=self.tls).start()

    async def stop(self):
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _token(self, request):
        form = dict(await request.post())
        self.grants.append(form | {f"?{name}": value for name, value in request.query.items()})
        return await self.on_token(request, form) if self.on_token else self.give_token()

    async def _info(self, request):
        return await self.on_info(request) if self.on_info else web.json_response({"auth_url": f"{self.url}/auth", "tenant_id": "acme"})

    async def _api(self, request):
        self.calls.append((request.method, request.path))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.valid:
            return web.Response(status=401)
        if request.path == "/api/Status" and self.on_api is None:
            return web.json_response([])
        return await self.on_api(request) if self.on_api else web.json_response({"id": 1})


@pytest.fixture
async def halo():
    server = ScriptedHalo(free_port())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def quick():
    return QuickClock()


@pytest.fixture
async def connect(halo, health, metrics):
    """Open a client of the scripted Halo; `clock` and members of `Client` by name."""
    async with AsyncExitStack() as stack:

        async def opened(clock=None, reload=None, **members):
            members = {"url": halo.url, "grant": Grant("client_credentials", "app", SECRET), "rate_limit": None, "timeout": 5.0} | members
            client = Client("main", **members)
            clock = clock or RealClock()
            return await stack.enter_async_context(open_client(client, Budgets([client], clock), metrics, health, clock, reload=reload))

        yield opened


@pytest.fixture
def get():
    return lambda client, path="/Tickets", **query: client.send(Request("GET", path, query), priority=Priority.POLL)


@pytest.fixture
def post():
    return lambda client, body=None, path="/Tickets": client.send(Request("POST", path, body=body or [{"summary": "x"}]), priority=Priority.WRITE)
