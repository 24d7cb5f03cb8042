"""How an application proves itself to a token endpoint: each way against a server that checks it."""

import asyncio
import time

import jwt
import pytest
import structlog
from aiohttp import web

from tests.tools.certificates import private_key, public_key
from worker.config.automation import IntegrationAuth
from worker.core.clock import SystemClock
from worker.core.exchange import RequestResult

KEY = private_key()
OAUTH = {"type": "oauth2", "client_id": "app", "scopes": ("read",)}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def tokens(api):
    """Gives a token to every request, with what it holds itself."""
    more = {}

    async def on_token(_):
        await asyncio.sleep(0)
        return web.json_response({"access_token": f"token-{len(api.grants)}", "expires_in": 3600} | more)

    api.on_token = on_token
    return more


@pytest.fixture
async def go(call, api, tokens):
    async def made(clock=None, url="/token", **auth):
        return await call(auth=IntegrationAuth(**OAUTH | {"token_url": api.url + url} | auth), clock=clock)

    return made


async def test_parameters_and_the_query_of_the_address_go_with_each_request_for_a_token(go, api):
    call = await go(url="/token?tenant=acme&x=1", client_secret="marker", parameters={"audience": "https://api.example/", "resource": "a b"})
    assert (await call()).ok
    assert api.grants == [
        {
            "audience": "https://api.example/",
            "resource": "a b",
            "grant_type": "client_credentials",
            "scope": "read",
            "client_id": "app",
            "client_secret": "marker",
        }
    ]
    assert dict(api.token_requests[0].query) == {"tenant": "acme", "x": "1"}
    assert "Authorization" not in api.token_requests[0].headers


async def test_credentials_in_the_header_are_encoded_as_the_standard_wants_and_in_no_field(go, api):
    call = await go(client_id="app:1", client_secret="s p/ä", client_auth="client_secret_basic")
    assert (await call()).ok
    assert api.token_requests[0].headers["Authorization"] == "Basic YXBwJTNBMTpzK3AlMkYlQzMlQTQ="
    assert api.grants == [{"grant_type": "client_credentials", "scope": "read"}]


async def test_an_assertion_is_signed_for_the_token_endpoint_and_never_the_same_twice(go, api, tokens):
    call = await go(url="/token?tenant=acme", client_auth="private_key_jwt", private_key=KEY, key_id="k1", algorithm="PS256")
    assert (await call()).ok

    async def on_call(request):
        return web.json_response({}, status=200 if request.headers["Authorization"] == "Bearer token-2" else 401)

    api.on_call = on_call
    assert (await call()).ok
    read = []
    for fields in api.grants:
        assertion = fields.pop("client_assertion")
        assert fields == {"grant_type": "client_credentials", "scope": "read", "client_id": "app", "client_assertion_type": ASSERTION}
        assert jwt.get_unverified_header(assertion) == {"alg": "PS256", "kid": "k1", "typ": "JWT"}
        read.append(jwt.decode(assertion, public_key(KEY), ["PS256"], audience=f"{api.url}/token", issuer="app", options={"require": ["jti", "iat", "exp"]}))
    assert [claims["sub"] for claims in read] == ["app", "app"]
    assert read[0]["jti"] != read[1]["jti"]
    assert 0 < read[0]["exp"] - time.time() <= 300


async def test_the_audience_of_an_assertion_can_be_another(go, api):
    assert (await (await go(client_auth="private_key_jwt", private_key=KEY, assertion_audience="https://issuer.example"))()).ok
    claims = jwt.decode(api.grants[0]["client_assertion"], public_key(KEY), ["RS256"], audience="https://issuer.example")
    assert claims["iss"] == "app"


async def test_a_key_that_cannot_sign_is_told_and_not_quoted_and_nothing_is_sent(go, api):
    with structlog.testing.capture_logs() as logs:
        exchange = await (await go(client_auth="private_key_jwt", private_key=KEY, algorithm="ES256"))()
    assert (exchange.result, exchange.reason) == (RequestResult.NOT_SENT, "no token: `private_key` cannot sign with ES256")
    assert (api.grants, api.calls, KEY[40:80] in str(logs)) == ([], [], False)


async def test_a_refresh_token_is_used_with_the_same_proof_and_parameters(go, api, tokens):
    class Moved(SystemClock):
        ahead = 0.0

        def monotonic(self):
            return super().monotonic() + self.ahead

    tokens["refresh_token"] = "marker-refresh"
    clock = Moved()
    call = await go(clock, client_auth="private_key_jwt", private_key=KEY, parameters={"resource": "r"})
    await call()
    clock.ahead = 3601.0
    exchanges = await asyncio.gather(*(call() for _ in range(50)))
    assert all(exchange.ok for exchange in exchanges)
    assert len(api.grants) == 2
    second = api.grants[1]
    assert (second["grant_type"], second["refresh_token"], second["resource"]) == ("refresh_token", "marker-refresh", "r")
    assert second["client_assertion"] != api.grants[0]["client_assertion"]
