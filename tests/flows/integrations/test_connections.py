"""Proxies and certificates of integrations: what a proxy is asked for, and which certificates both sides show."""

import asyncio
import ssl

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key
from yarl import URL

from tests.tools.certificates import Authority, serving
from tests.tools.http_proxy import http_proxy
from tests.tools.waiting import SOON
from worker.config.automation import IntegrationAuth
from worker.core.errors import CallRefused, ConfigError
from worker.core.exchange import RequestResult
from worker.halo.transport import Call


@pytest.fixture
async def proxy(api):
    async with http_proxy(api.port) as made:
        yield made


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def secure(api, authority):
    """The api with TLS that wants the worker's certificate; gives its port. `shown` on the api: the common names that came."""
    api.shown = []

    async def answer(request):
        certificate = request.transport.get_extra_info("peercert") or {}
        api.shown += [value for names in certificate.get("subject", ()) for key, value in names if key == "commonName"]
        return await api.answer(request)

    context = serving(authority.good())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
def certificate(authority, tmp_path):
    """The worker's certificate and its key as files."""
    made = authority.for_a_client()
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return {"ca_file": str(authority.ca_file), "cert_file": str(tmp_path / "cert.pem"), "key_file": str(tmp_path / "key.pem")}


async def test_a_proxy_looks_up_the_name_and_gets_its_own_credentials_and_no_others(call, proxy, api):
    auth = IntegrationAuth("bearer", token="marker")
    go = await call(base_url="http://api.example.com/v1", allow=(), auth=auth, connection={"proxy": f"http://me:p%40ss@127.0.0.1:{proxy.port}"})
    assert (await go()).ok
    assert proxy.asked == ["GET http://api.example.com/v1/ HTTP/1.1"]
    assert "Proxy-Authorization: Basic bWU6cEBzcw==" in proxy.heads[0]
    assert api.last.host == "api.example.com"


async def test_an_https_address_is_asked_for_as_a_tunnel_that_shows_the_proxy_no_credentials(call, secure, certificate, api):
    async with http_proxy(secure) as proxy:
        auth = IntegrationAuth("bearer", token="marker")
        go = await call(base_url=f"https://127.0.0.1:{secure}", auth=auth, connection={"proxy": f"http://127.0.0.1:{proxy.port}", **certificate})
        assert (await go()).ok
        assert proxy.asked == [f"CONNECT 127.0.0.1:{secure} HTTP/1.1"]
        assert "marker" not in proxy.heads[0]
        assert api.last.headers["Authorization"] == "Bearer marker"


@pytest.mark.parametrize("target", ["http://api.example.com", "https://127.0.0.1"])
async def test_the_way_to_the_proxy_itself_may_be_tls(call, secure, certificate, authority, api, target):
    """Its certificate is checked with the same files."""
    port = secure if target.startswith("https") else api.port
    async with http_proxy(port, serving(authority.good())) as proxy:
        base = f"{target}:{secure}" if target.startswith("https") else target
        go = await call(base_url=base, connection={"proxy": f"https://127.0.0.1:{proxy.port}", **certificate})
        assert (await go()).ok
        assert len(proxy.asked) == 1


async def test_tokens_are_asked_for_through_the_proxy_too(call, proxy, api):
    async def on_token(_):
        return web.json_response({"access_token": "token", "expires_in": 3600})

    api.on_token = on_token
    auth = IntegrationAuth("oauth2", client_id="a", client_secret="b", token_url="http://login.example.com/token")
    go = await call(base_url="http://api.example.com", allow=(), auth=auth, connection={"proxy": f"http://127.0.0.1:{proxy.port}"})
    assert (await go()).ok
    assert proxy.asked == ["POST http://login.example.com/token HTTP/1.1", "GET http://api.example.com/ HTTP/1.1"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "db.localhost", "LOCALHOST."])
async def test_a_proxy_is_not_asked_for_an_internal_address_that_is_not_listed(call, proxy, host):
    go = await call(base_url=f"http://{host}", allow=(), connection={"proxy": f"http://127.0.0.1:{proxy.port}"})
    with pytest.raises(CallRefused, match="allow_hosts"):
        await go()
    assert proxy.heads == []


@pytest.mark.parametrize("address", ["http://other.example.com/", "https://api.example.com/", "http://api.example.com:81/", "http://u:p@api.example.com/"])
async def test_a_proxy_is_asked_for_the_integrations_own_address_only(call, proxy, address):
    """Whatever builds the call: the last check stands before the proxy."""
    await call(base_url="http://api.example.com", allow=(), connection={"proxy": f"http://127.0.0.1:{proxy.port}"})
    send = call.callers[0]._pool.connection("api").send
    result = await send(Call("GET", URL(address)))
    assert (result.refused, result.sent, proxy.heads) == (True, False, [])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_through_a_proxy_is_an_answer_and_nothing_more(call, proxy, api, status):
    async def on_call(_):
        return web.Response(status=status, headers={"Location": "http://inside.example.com/"})

    api.on_call = on_call
    exchange = await (await call(base_url="http://api.example.com", allow=(), connection={"proxy": f"http://127.0.0.1:{proxy.port}"}))()
    assert (exchange.result, len(proxy.heads)) == (RequestResult.REJECTED, 1)


async def test_a_proxy_whose_name_leads_to_a_metadata_service_gets_no_connection(call, resolve):
    resolve("proxy.example.com", ["169.254.169.254"])
    go = await call(base_url="http://api.example.com", allow=(), connection={"proxy": "http://proxy.example.com:3128"})
    with pytest.raises(CallRefused, match="metadata"):
        await go()


async def test_the_worker_shows_its_certificate_and_trusts_the_own_authority(call, secure, certificate, api):
    go = await call(base_url=f"https://127.0.0.1:{secure}", connection=certificate)
    assert (await go()).ok
    assert api.shown == ["halo-worker"]


async def test_a_token_endpoint_sees_the_certificate_in_place_of_a_secret(call, secure, certificate, api):
    async def on_token(_):
        return web.json_response({"access_token": "token", "expires_in": 3600})

    api.on_token = on_token
    auth = IntegrationAuth("oauth2", client_id="app", client_auth="tls_client_auth", token_url=f"https://127.0.0.1:{secure}/token")
    assert (await (await call(base_url=f"https://127.0.0.1:{secure}", auth=auth, connection=certificate))()).ok
    assert (api.grants, set(api.shown)) == ([{"client_id": "app", "grant_type": "client_credentials"}], {"halo-worker"})


async def test_without_the_certificate_or_the_authority_nothing_is_exchanged(call, secure, certificate, api):
    for left in ({"ca_file": certificate["ca_file"]}, {name: certificate[name] for name in ("cert_file", "key_file")}):
        assert (await (await call(base_url=f"https://127.0.0.1:{secure}", connection=left))()).result is not RequestResult.DONE
    assert api.calls == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file /nowhere/ca.pem cannot be used: No such file"),
        ({"ca_file": "key_file"}, "cannot be used: it holds no certificate"),
        ({"cert_file": "/nowhere/cert.pem"}, "cert_file /nowhere/cert.pem cannot be used: No such file"),
        ({"key_file": "ca_file"}, "its key must fit it"),
        ({"cert_file": "/dev/null"}, "it is not a file"),
    ],
)
async def test_files_that_cannot_be_used_are_told_before_anything_connects(call, certificate, wrong, told):
    files = certificate | {name: certificate.get(value, value) for name, value in wrong.items()}
    with pytest.raises(ConfigError, match=told):
        await call(base_url="https://api.example.com", connection=files)


async def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked_for_it(call, certificate, tmp_path):
    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"marker")))
    with pytest.raises(ConfigError, match="no passphrase"):
        await asyncio.wait_for(call(base_url="https://api.example.com", connection=certificate), SOON)
