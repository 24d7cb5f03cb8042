"""Requests as Halo receives them, and answers as flows receive them."""

import gzip
import json

import pytest
import structlog
from aiohttp import web

from tests.flows.halo.conftest import SECRET
from worker import __version__
from worker.config.routes import Grant
from worker.core.errors import ConfigError
from worker.core.exchange import RequestResult


@pytest.fixture
def seen(halo):
    """The last request as it arrived."""
    arrived = {}

    async def note(request):
        arrived.update(method=request.method, path=request.raw_path, headers=request.headers, body=await request.read())
        return web.json_response({"id": 1})

    halo.on_api = note
    return arrived


async def test_a_get_brings_the_decoded_body_and_halos_clock(connect, get):
    exchange = await get(await connect())
    assert (exchange.result, exchange.status, exchange.body) == (RequestResult.DONE, 200, {"id": 1})
    assert exchange.date is not None
    assert exchange.duration > 0


async def test_path_and_query_arrive_as_they_were_given(connect, seen, get):
    await get(await connect(), "/Custom%2FTable/A%20C12", search="a&b=c+d é", open_only="true")
    assert seen["path"] == "/api/Custom%2FTable/A%20C12?search=a%26b%3Dc%2Bd+%C3%A9&open_only=true"


async def test_a_post_carries_json_the_token_the_version_and_the_correlation(connect, seen, post):
    with structlog.contextvars.bound_contextvars(correlation_id="tickets-17"):
        await post(await connect(headers={"X-Gateway": "key"}), [{"summary": "é"}])
    assert json.loads(seen["body"]) == [{"summary": "é"}]
    headers = seen["headers"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer marker-token-1"
    assert headers["User-Agent"] == f"halo-worker/{__version__}"
    assert (headers["X-Correlation-Id"], headers["X-Gateway"]) == ("tickets-17", "key")


async def test_a_correlation_that_cannot_stand_in_a_header_is_left_out(connect, seen, get):
    with structlog.contextvars.bound_contextvars(correlation_id="a\r\nX-Evil: 1"):
        assert (await get(await connect())).ok
    assert "X-Correlation-Id" not in seen["headers"]


async def test_a_payload_that_json_cannot_hold_is_rejected_unsent(connect, halo, post):
    exchange = await post(await connect(), {"when": object()})
    assert (exchange.result, exchange.down, halo.calls) == (RequestResult.REJECTED, False, [])


async def test_the_event_source_is_the_api_address_with_the_path(connect):
    assert (await connect(api_url="https://halo.internal/prefix/api")).source("/Tickets") == "https://halo.internal/prefix/api/Tickets"


@pytest.mark.parametrize("status", [200, 201])
async def test_an_empty_answer_to_a_write_is_done(connect, halo, post, status):
    async def empty(_):
        return web.Response(status=status)

    halo.on_api = empty
    exchange = await post(await connect())
    assert (exchange.result, exchange.body) == (RequestResult.DONE, None)


async def test_a_compressed_answer_is_read(connect, halo, get):
    async def compressed(_):
        return web.Response(body=gzip.compress(b'{"id": 5}'), headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    halo.on_api = compressed
    assert (await get(await connect())).body == {"id": 5}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            400,
            {"[0].client_id": ["Could not convert string to integer: Jane. Path '[0].client_id', line 1"]},
            "[0].client_id: Could not convert string to integer",
        ),
        (400, "A Site must be selected", "A Site must be selected"),
        (400, {"ClassName": "System.Exception", "Message": "Name must be unique", "StackTraceString": "at Jane"}, "Name must be unique"),
        (404, None, "there is no such record or endpoint"),
    ],
)
async def test_a_refusal_is_told_in_halos_words_and_asked_once(connect, halo, post, status, body, reason):
    async def refuse(_):
        return web.json_response(body, status=status) if body else web.Response(status=status)

    halo.on_api = refuse
    exchange = await post(await connect())
    assert (exchange.result, exchange.status, exchange.reason) == (RequestResult.REJECTED, status, f"Halo answered {status}: {reason}")
    assert len(halo.calls) == 1


async def test_a_403_is_a_matter_of_permission_and_halo_stays_available(connect, halo, post):
    async def forbid(_):
        return web.Response(status=403)

    halo.on_api = forbid
    client = await connect()
    exchange = await post(client)
    assert (exchange.result, exchange.down, client.available) == (RequestResult.AUTH, False, True)


async def test_requests_are_counted_by_fate(connect, halo, metrics, post, get):
    client = await connect()
    await get(client)
    halo.on_api = lambda _: refused()

    async def refused():
        return web.Response(status=404)

    await post(client)
    values = {tuple(sample.labels.values()): sample.value for sample in metrics.requests.collect()[0].samples if sample.name.endswith("_total")}
    assert values == {("main", "GET", "done"): 1.0, ("main", "POST", "rejected"): 1.0}


@pytest.mark.parametrize("name", ["authorization", "Host", "Content-Length"])
async def test_own_headers_may_not_replace_ours(connect, name):
    with pytest.raises(ConfigError, match="cannot be set"):
        await connect(headers={name: "x"})


async def test_a_ca_file_that_is_missing_or_empty_is_told(connect, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    for name, words in [("missing.pem", "No such file"), ("empty.pem", "no certificate")]:
        with pytest.raises(ConfigError, match=words):
            await connect(ca_file=str(tmp_path / name))


async def test_a_proxy_carries_the_requests(connect, halo, get):
    async def absolute(request):
        return web.json_response({"asked_for": str(request.url)})

    halo.on_api = absolute
    client = await connect(url="http://halo.invalid", token_url=f"{halo.url}/auth/token", proxy=halo.url)
    assert (await get(client)).body == {"asked_for": "http://halo.invalid/api/Tickets"}


async def test_environment_proxies_are_ignored(connect, get, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await get(await connect())).ok


async def test_both_grants_and_the_tenant_reach_the_token_endpoint(connect, halo, get):
    grant = Grant("password", "app", None, "agent", "pw", ("all", "offline_access"))
    await get(await connect(grant=grant, tenant="acme-hosted", token_url=f"{halo.url}/auth/token"))
    await halo.stop()
    assert halo.grants[0] == {
        "grant_type": "password",
        "client_id": "app",
        "username": "agent",
        "password": "pw",
        "scope": "all offline_access",
        "?tenant": "acme-hosted",
    }


async def test_the_token_address_and_tenant_are_discovered(connect, halo, get):
    assert (await get(await connect())).ok
    assert (halo.grants[0]["grant_type"], halo.grants[0]["?tenant"]) == ("client_credentials", "acme")


@pytest.mark.parametrize(
    "path",
    [
        "Tickets",
        "/Tickets/a b",
        "/Tickets/../auth",
        "/..",
        "/Tickets/.",
        "/Tickets?x=1",
        "/Tickets#x",
        "/T\r\nX: 1",
        "/Tickets/é",
        "/Actions/{id}",
        "//evil.example\\x",
    ],
)
async def test_a_path_that_is_not_encoded_or_leads_out_of_the_api_is_never_sent(connect, halo, get, path):
    exchange = await get(await connect(), path)
    assert (exchange.result, halo.calls) == (RequestResult.REJECTED, [])


async def test_a_configured_tenant_is_preferred_to_the_discovered_one(connect, halo, get):
    assert (await get(await connect(tenant="beta"))).ok
    assert halo.grants[0]["?tenant"] == "beta"


async def test_tokens_and_probes_belong_to_no_message(connect, halo, get):
    correlations = {}

    async def api(request):
        correlations[request.path] = request.headers.get("X-Correlation-Id")
        return web.json_response([]) if request.path == "/api/Status" else web.Response(status=503)

    halo.on_api = api
    client = await connect()
    with structlog.contextvars.bound_contextvars(correlation_id="tickets-17"):
        await get(client)
    assert correlations == {"/api/Tickets": "tickets-17", "/api/Status": None}


@pytest.mark.parametrize("path", ["/Tickets", "/Actions/AC12", "/A/..b/c.d", "/Client/%2E%2E%2F/x", "/x/a:b@c,d;e=f~g!$&'()*+"])
async def test_an_encoded_path_is_sent_as_it_is(connect, seen, get, path):
    assert (await get(await connect(), path)).ok
    assert seen["path"] == f"/api{path}"


@pytest.mark.parametrize("form", ["the secret {} is wrong", 'secret "quoted {} here', '{{"message": "no {}"}}', "Bearer {}"])
@pytest.mark.parametrize("what", [SECRET, "marker-token-1", "key-of-the-gateway"])
async def test_a_refusal_that_quotes_what_proves_who_we_are_is_told_without_it(connect, halo, get, form, what):
    async def refuse(_):
        return web.Response(status=400, text=form.format(what), content_type="text/plain")

    halo.on_api = refuse
    exchange = await get(await connect(headers={"X-Gateway": "key-of-the-gateway"}))
    assert exchange.reason.startswith("Halo answered 400: ")
    assert what not in exchange.reason
