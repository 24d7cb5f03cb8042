"""The audit's assertion: whatever a run, an answer or a login holds, nothing leaves for another address, path or header than the integration allows.

The resolver of these tests leads every name to a server of theirs, and every host is listed: only the worker's own rules keep calls away from it.
"""

import asyncio
import contextlib
import posixpath
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from aiohttp import web

from tests.tools.http_proxy import http_proxy
from tests.tools.sizes import every_nth
from tests.tools.waiting import SOON
from worker.config.automation import IntegrationAuth, Method
from worker.config.integration_parts import Login, PagingRule
from worker.config.run_templates import compile_run_template
from worker.config.variables import parse_variable
from worker.core.errors import CallRefused

EVIL = "evil.example"
HOSTILE = [
    f"http://{EVIL}/", f"//{EVIL}/", f"@{EVIL}", f"x@{EVIL}/", f".{EVIL}", f"\\\\{EVIL}\\", f"http:\\\\{EVIL}", f"http://{EVIL}#@own", f"http://own@{EVIL}/", "../admin",
    "/../admin", "..%2fadmin", "%2e%2e/admin", "%252e%252e%252fadmin", "..;/admin", "/admin", "a\r\nHost: evil.example", "a\nTransfer-Encoding: chunked",
    "a\r\n\r\nGET /admin HTTP/1.1\r\nHost: evil.example\r\n\r\n", "a\x00b", "a HTTP/1.1\r\nX-Evil: 1", "?x=1#y", "\u2028", "\uff0e\uff0e/admin", "e\u0301vil", "a" * 20_000,
]  # fmt: skip
WORKERS_OWN = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}


@dataclass
class Watched:
    """What came to the api, and the connections that came to the server behind every other name."""

    api: object
    evil: asyncio.Server
    strangers: list[object] = field(default_factory=list)
    met: asyncio.Event = field(default_factory=asyncio.Event)
    declared: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def check(self) -> None:
        assert self.strangers == []
        for request in [*self.api.calls, *self.api.token_requests]:
            assert request.host in self.hosts
            path = request.raw_path.removeprefix("http://own.example").partition("?")[0]
            for _ in range(4):  # as servers may decode it
                assert posixpath.normpath(path.replace("\\", "/")).startswith(("/v1/", "/token"))
                path = unquote(path)
            assert {name.lower() for name in request.headers} <= WORKERS_OWN | self.declared
            assert all(len(request.headers.getall(name)) == 1 for name in request.headers)


@pytest.fixture
async def watched(api, monkeypatch):
    """Every name but that of this machine leads to a server of the test; port 80 does too."""

    async def met(reader, writer):
        made.strangers.append(writer.get_extra_info("peername"))
        made.met.set()
        writer.close()

    evil = await asyncio.start_server(met, "127.0.0.1", 0)
    port = evil.sockets[0].getsockname()[1]
    real = socket.getaddrinfo

    def getaddrinfo(host, asked, *args, **kwargs):
        if host in {"127.0.0.1", "localhost"}:
            return real(host, asked, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    made = Watched(api, evil, hosts=frozenset({f"127.0.0.1:{api.port}"}))
    yield made
    evil.close()


def listed(api):
    return ((EVIL, None), ("127.0.0.1", None), (f"own.{EVIL}", None), ("localhost", None))


async def attempt(go, **values):
    """A call may be refused or sent: what arrives is looked at."""
    with contextlib.suppress(CallRefused):
        await go(**values)


@pytest.mark.parametrize("hostile", every_nth(5, HOSTILE))
async def test_values_of_a_run(call, api, watched, hostile):
    watched.declared = frozenset({"x-name", "authorization", "cookie"})
    headers = {"X-Name": "<<A>>", "Authorization": "Bearer <<A>>", "Cookie": "a=<<A>>"}
    file = {"file": {"base64": "aGk=", "filename": "<<A>>", "content_type": "<<A>>"}, "note": "<<A>>"}
    for parts in (
        {"path": ("/things/", "<<A>>")},
        {"query": {"q": "<<A>>"}},
        {"headers": headers},
        {"verb": "POST", "body": {"a": "<<A>>"}},
        {"verb": "POST", "body": file, "body_kind": "multipart"},
        {"verb": "POST", "body": "<<A>>", "body_kind": "base64"},
        {"verb": "POST", "body": "x", "body_kind": "text", "headers": {"Content-Type": "<<A>>"}},
    ):
        go = await call(base_url=f"{api.url}/v1", allow=listed(api), **{"path": ("/things",)} | parts)
        await attempt(go, A=hostile)
    watched.check()


@pytest.mark.parametrize("hostile", every_nth(5, HOSTILE))
async def test_answers_that_name_the_next_page(call, api, watched, hostile):
    async def on_call(_):
        shown = hostile if hostile.isprintable() and len(hostile) < 4000 else "x"
        return web.json_response({"items": [1], "next": hostile, "mark": hostile}, headers={"Link": f"<{shown}>; rel=next"})

    api.on_call = on_call
    items = parse_variable("response^items")
    ways = [
        PagingRule(items, 3, link=True),
        PagingRule(items, 3, next=parse_variable("response^next!")),
        PagingRule(items, 3, next=parse_variable("headers^link")),
        PagingRule(items, 3, cursor="after", value=parse_variable("response^mark")),
    ]
    for pages in ways:
        await attempt(await call(base_url=f"{api.url}/v1", allow=listed(api), path=("/things",), pages=pages))
    watched.check()


@pytest.mark.parametrize("hostile", every_nth(5, HOSTILE))
async def test_answers_of_logins_and_token_endpoints(call, api, watched, hostile):
    async def on_call(request):
        return web.json_response({"token": hostile, "expires_in": hostile} if request.path.endswith("/login") else {})

    async def on_token(_):
        return web.json_response({"access_token": hostile, "refresh_token": hostile, "token_type": hostile, "expires_in": hostile, "scope": hostile})

    api.on_call, api.on_token = on_call, on_token
    watched.declared = frozenset({"authorization", "x-token", "cookie"})
    login = Method("login", "api", "POST", ("/login",), body=compile_run_template({"a": "b"}))
    place, life = parse_variable("response^token!"), parse_variable("response^expires_in")
    auths = [
        IntegrationAuth("login", login=Login("login", place, life, header, prefix))
        for header, prefix in (("Authorization", "Bearer "), ("X-Token", ""), ("Cookie", "sid="))
    ]
    auths.append(IntegrationAuth("oauth2", client_id="a", client_secret="b", token_url=f"{api.url}/token"))
    for auth in auths:
        go = await call(base_url=f"{api.url}/v1", allow=listed(api), path=("/things",), auth=auth, beside=[login])
        await attempt(go)
    watched.check()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", ["none", "login", "oauth2"])
async def test_redirects_of_calls_logins_token_endpoints_and_pages(call, api, watched, status, auth):
    async def moved(_=None):
        return web.Response(status=status, headers={"Location": f"http://{EVIL}/v1/things", "Refresh": f"0; url=http://{EVIL}/"})

    api.on_call = api.on_token = moved
    watched.declared = frozenset({"authorization"})
    login = Method("login", "api", "POST", ("/login",))
    made = {
        "none": IntegrationAuth(),
        "login": IntegrationAuth("login", login=Login("login", parse_variable("response^t"), parse_variable("response^e"))),
        "oauth2": IntegrationAuth("oauth2", client_id="a", client_secret="b", token_url=f"{api.url}/token"),
    }[auth]
    pages = PagingRule(parse_variable("response"), link=True)
    exchange = await (await call(base_url=f"{api.url}/v1", allow=listed(api), path=("/things",), auth=made, beside=[login], pages=pages))()
    assert not exchange.ok
    watched.check()


@pytest.mark.parametrize("hostile", every_nth(5, HOSTILE))
async def test_through_a_proxy_nothing_else_is_asked_for(call, api, watched, hostile):
    async def on_call(_):
        return web.json_response({"items": [1], "next": hostile})

    api.on_call = on_call
    watched.declared, watched.hosts = frozenset({"x-name"}), frozenset({"own.example"})
    pages = PagingRule(parse_variable("response^items"), 3, next=parse_variable("response^next!"))
    async with http_proxy(api.port) as proxy:
        more = {"connection": {"proxy": f"http://127.0.0.1:{proxy.port}"}, "base_url": "http://own.example/v1", "allow": listed(api)}
        for parts in ({"path": ("/things/", "<<A>>")}, {"path": ("/things",), "headers": {"X-Name": "<<A>>"}}, {"path": ("/things",), "pages": pages}):
            await attempt(await call(**more, **parts), A=hostile)
        assert all(line.startswith("GET http://own.example/v1/things") for line in proxy.asked)
    watched.check()


async def test_without_the_rules_the_server_behind_every_name_would_have_been_met(watched):
    """So that the other tests here prove the rules, and not that nobody listens."""
    place = socket.getaddrinfo(EVIL, 80)[0][4]
    _, writer = await asyncio.open_connection(*place)
    writer.close()
    async with asyncio.timeout(SOON):
        await watched.met.wait()
    assert len(watched.strangers) == 1
