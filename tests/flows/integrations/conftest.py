"""An API on a real socket whose answers each test writes itself, and integrations that call it."""

import socket
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from tests.tools.evaluating import InProcess
from worker.config.automation import Integration, IntegrationAuth, Method
from worker.config.run_templates import compile_run_template
from worker.config.run_values import Values
from worker.core.clock import SystemClock
from worker.integrations.caller import open_caller
from worker.metrics import Metrics


class Api:
    """`on_call` answers what is not a token request; `calls` and `grants` tell what arrived."""

    def __init__(self):
        self.calls = []
        self.bodies = []
        self.grants = []
        self.on_call = None
        self.on_token = None
        self.token_requests = []
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self):
        return self.calls[-1]

    async def answer(self, request):
        if request.path == "/token":
            self.token_requests.append(request)
            self.grants.append(dict(await request.post()))
            return await self.on_token(request)
        self.calls.append(request)
        self.bodies.append(await request.read())
        return await self.on_call(request) if self.on_call else web.json_response({"ok": True})


@pytest.fixture
async def api():
    server = Api()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
async def call(api, metrics):
    """Call one method of an integration that is described by its parts; by itself a GET of the api that is listed as allowed. `beside`: further methods of it."""
    async with AsyncExitStack() as stack:

        async def made(
            *,
            base_url=None,
            auth=None,
            allow=(("127.0.0.1", None),),
            clients=None,
            verb="GET",
            path=("/",),
            variables=None,
            clock=None,
            seconds=10.0,
            beside=(),
            connection=None,
            **parts,
        ):
            plain = parts.pop("plain", frozenset())
            fillers = {name: {key: compile_run_template(value) for key, value in parts.pop(name, {}).items()} for name in ("query", "headers")}
            body = compile_run_template(parts.pop("body")) if "body" in parts else None
            pieces = tuple(compile_run_template(piece) if "<<" in piece else piece for piece in path)
            method = Method("method", "api", verb, pieces, body=body, timeout=seconds, **fillers, **parts)
            methods = {"method": method} | {each.name: each for each in beside}
            integration = Integration("api", base_url or api.url, auth or IntegrationAuth(), methods, allow, **(connection or {}))
            caller = await stack.enter_async_context(open_caller({"api": integration}, clients or {}, InProcess(), metrics, clock or SystemClock()))
            made.callers.append(caller)
            made.methods.append(method)
            return lambda **more: caller.call(method, Values(variables=(variables or {}) | more, plain=plain))

        made.callers, made.methods, made.nothing = [], [], Values()
        yield made


class Inside:
    """A server on loopback that nobody may reach: it takes connections, so that each one that comes can be counted."""

    def __init__(self, listener):
        self._listener = listener
        self.port = listener.getsockname()[1]

    @property
    def connections(self):
        count = 0
        while True:
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return count
            accepted.close()
            count += 1


@pytest.fixture
def inside():
    """Listens on every address of this machine, IPv4 and IPv6."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        listener.setblocking(False)
        yield Inside(listener)


@pytest.fixture
def resolve(monkeypatch):
    """Let a name lead to these addresses, the first question to the first list, the last list for ever."""
    real = socket.getaddrinfo

    def stub(name, *answers):
        remaining = list(answers)

        def getaddrinfo(host, port, *args, **kwargs):
            if host != name:
                return real(host, port, *args, **kwargs)
            addresses = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            families = [(socket.AF_INET6, (address, port, 0, 0)) if ":" in address else (socket.AF_INET, (address, port)) for address in addresses]
            return [(family, socket.SOCK_STREAM, 6, "", place) for family, place in families]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return stub
