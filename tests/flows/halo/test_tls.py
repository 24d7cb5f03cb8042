"""Halo over https: only a server whose certificate is in order gets a request, and what is wrong with it is told."""

import asyncio
import os

import pytest
import structlog

from tests.flows.halo.conftest import SECRET, ScriptedHalo
from tests.tools.certificates import Authority, serving
from tests.tools.ports import free_port
from tests.tools.waiting import soon
from worker.config.routes import Client, Grant
from worker.core.errors import ConfigError
from worker.core.exchange import RequestResult
from worker.halo.transport import open_transport

FAULTS = {
    "wrong authority": "unable to get local issuer certificate",
    "expired": "certificate has expired",
    "another host": "IP address mismatch, certificate is not valid for '127.0.0.1'.",
}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def stranger(tmp_path):
    (tmp_path / "stranger").mkdir()
    return Authority(tmp_path / "stranger")


@pytest.fixture
def faulty(authority, stranger):
    return {"wrong authority": stranger.good, "expired": authority.expired, "another host": authority.for_another_host}


@pytest.fixture
async def serve():
    """Start a Halo that shows this certificate, without one a plain Halo."""
    servers = []

    async def started(certificate=None):
        server = ScriptedHalo(free_port(), serving(certificate) if certificate else None)
        servers.append(server)
        await server.start()
        return server

    yield started
    await asyncio.gather(*(server.stop() for server in servers))


async def test_an_own_authority_is_trusted_for_discovery_tokens_and_requests(connect, serve, authority, get, post):
    halo = await serve(authority.good())
    client = await connect(url=halo.url, ca_file=str(authority.ca_file))
    assert (await get(client)).ok
    assert (await post(client)).ok
    assert (len(halo.grants), halo.grants[0]["client_secret"]) == (1, SECRET)


async def test_without_the_ca_file_its_certificate_is_refused(connect, serve, authority, get, health):
    halo = await serve(authority.good())
    client = await connect(url=halo.url)
    exchange = await get(client)
    sentence = f"no token: the certificate of 127.0.0.1:{halo.port} is not trusted: unable to get local issuer certificate"
    assert (exchange.result, exchange.down, exchange.reason, health.parts["client main"].detail) == (RequestResult.NOT_SENT, True, sentence, sentence)
    assert (halo.grants, halo.calls) == ([], [])


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_token_endpoint_with_a_faulty_certificate_is_told_and_sees_no_credentials(connect, serve, authority, faulty, fault, get, health):
    api, tokens = await serve(authority.good()), await serve(faulty[fault]())
    with structlog.testing.capture_logs() as logs:
        client = await connect(url=api.url, token_url=f"{tokens.url}/auth/token", ca_file=str(authority.ca_file))
        exchange = await get(client)
    sentence = f"no token: the certificate of 127.0.0.1:{tokens.port} is not trusted: {FAULTS[fault]}"
    assert (exchange.result, exchange.down, exchange.reason) == (RequestResult.NOT_SENT, True, sentence)
    assert (client.available, health.ready, health.parts["client main"].detail) == (False, False, sentence)
    assert (tokens.grants, api.calls) == ([], [])
    assert sentence in repr(logs)
    assert SECRET not in repr(logs) + repr(exchange) + repr(health.parts)


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_api_with_a_faulty_certificate_is_told_and_sees_no_token(connect, serve, authority, faulty, fault, post, health):
    api, tokens = await serve(faulty[fault]()), await serve(authority.good())
    with structlog.testing.capture_logs() as logs:
        client = await connect(url=api.url, token_url=f"{tokens.url}/auth/token", ca_file=str(authority.ca_file))
        await soon(client.wait_available())
        exchange = await post(client)
    sentence = f"the certificate of 127.0.0.1:{api.port} is not trusted: {FAULTS[fault]}"
    assert (exchange.result, exchange.down, exchange.reason) == (RequestResult.NOT_SENT, True, sentence)
    assert (client.available, health.parts["client main"].detail) == (False, sentence)
    assert (len(tokens.grants), api.calls) == (1, [])
    assert sentence in repr(logs)
    assert not any(secret in repr(logs) + repr(exchange) + repr(health.parts) for secret in (SECRET, *tokens.valid))


async def test_a_certificate_that_expires_takes_the_client_down_until_it_is_renewed(connect, serve, authority, quick, get):
    halo = await serve(authority.good())
    client = await connect(clock=quick, url=halo.url, ca_file=str(authority.ca_file))
    assert (await get(client)).ok
    await halo.stop()
    halo.tls = serving(authority.expired())
    await halo.start()
    before = len(halo.calls)
    exchange = await get(client)
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert exchange.reason.endswith("is not trusted: certificate has expired")
    assert len(halo.calls) == before
    await halo.stop()
    halo.tls = serving(authority.good())
    await halo.start()
    await soon(client.wait_available())
    assert (await get(client)).ok


async def test_a_plain_server_at_an_https_address_is_told_and_not_spoken_to_in_plain_text(connect, serve, get):
    halo = await serve()
    client = await connect(url=halo.url.replace("http:", "https:"))
    exchange = await get(client)
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert exchange.reason == f"no token: no TLS connection to 127.0.0.1:{halo.port}: is https right for this address?"
    assert (halo.grants, halo.calls) == ([], [])


async def test_a_plain_token_address_is_not_taken_from_a_halo_that_is_encrypted(connect, serve, authority, get):
    plain, halo = await serve(), await serve(authority.good())
    halo.on_info = plain._info  # names the plain server's address
    client = await connect(url=halo.url, ca_file=str(authority.ca_file))
    exchange = await get(client)
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert "names an authorisation address that is not safe to use" in exchange.reason
    assert (plain.grants, halo.grants) == ([], [])


async def test_a_file_of_authorities_that_is_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "ca")
    client = Client("main", "https://halo.example", Grant("client_credentials", "app", "secret"), ca_file=str(tmp_path / "ca"))
    with pytest.raises(ConfigError, match="cannot be used: it is not a file"):
        async with open_transport(client):
            pass
