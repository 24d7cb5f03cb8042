"""The client as a circuit: when it is down, what brings it back, and what it costs."""

import asyncio

import pytest
import structlog
from aiohttp import web

from tests.tools.waiting import SOON
from worker.config.routes import Grant
from worker.core.exchange import Priority, Request, RequestResult


async def test_it_is_down_until_the_first_token(connect, halo, health):
    gate = asyncio.Event()

    async def slow(*_):
        await gate.wait()
        return halo.give_token()

    halo.on_token = slow
    client = await connect()
    assert (client.available, health.parts["client main"].detail) == (False, "starting")
    gate.set()
    await client.wait_available()
    assert health.ready


async def test_a_wrong_secret_keeps_it_unready_with_the_reason_and_bounded_token_calls(connect, halo, health, metrics, quick, get):
    accept = asyncio.Event()

    async def judge(_, __):
        return halo.give_token() if accept.is_set() else web.json_response({"error": "invalid_client"}, status=401)

    halo.on_token = judge
    client = await connect(clock=quick)
    await client.wait_unavailable()
    while len(halo.grants) < 12:
        exchange = await get(client)
        assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
        await asyncio.sleep(0)
    assert quick.ahead > 5 + 10 + 20 + 40 + 6 * 60 - 5
    assert "client_id or client_secret is wrong" in health.parts["client main"].detail
    assert metrics.client_up.labels("main")._value.get() == 0
    accept.set()
    await client.wait_available()
    assert health.ready
    assert (await get(client)).ok
    assert halo.counts["GET /api/Tickets"] == 1


async def test_a_revoked_token_with_50_requests_in_flight_costs_one_token_call_and_no_request(connect, halo, post):
    arrived, gate = [], asyncio.Event()

    async def api(request):
        if not gate.is_set():
            arrived.append(request)
            if len(arrived) == 50:
                halo.revoke()
                gate.set()
            await gate.wait()
            return web.Response(status=401)
        return web.json_response({"id": 1})

    halo.on_api = api
    client = await connect()
    exchanges = await asyncio.gather(*(post(client) for _ in range(50)))
    assert {exchange.result for exchange in exchanges} == {RequestResult.DONE}
    assert len(halo.grants) == 2  # the first, and one for the revocation


async def test_an_endpoint_that_always_answers_401_is_a_matter_of_that_request(connect, halo, get):
    async def api(request):
        return web.Response(status=401) if request.path == "/api/Client/me" else web.json_response([])

    halo.on_api = api
    client = await connect()
    exchange = await get(client, "/Client/me")
    assert (exchange.result, exchange.down, client.available) == (RequestResult.AUTH, False, True)
    assert halo.counts["GET /api/Client/me"] == 2


async def test_a_halo_that_takes_no_token_at_all_is_down_and_asked_rarely(connect, halo, quick, get, until):
    refuse = True

    async def api(_):
        return web.Response(status=401) if refuse else web.json_response([])

    halo.on_api = api
    client = await connect(clock=quick)
    await client.wait_available()
    exchange = await get(client)
    assert (exchange.result, exchange.status, exchange.down, client.available) == (RequestResult.NOT_SENT, 401, True, False)  # a message is not buried for it
    start, before = quick.ahead, len(halo.grants)
    await until(lambda: quick.ahead >= start + 1800)
    assert len(halo.grants) - before <= 40
    refuse = False
    await client.wait_available()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_gateway_errors_everywhere_take_it_down_and_it_comes_back(connect, halo, health, quick, post, get, status):
    failing = True

    async def api(_):
        return web.Response(status=status) if failing else web.json_response([])

    halo.on_api = api
    client = await connect(clock=quick)
    await client.wait_available()
    exchange = await post(client)
    assert (exchange.result, exchange.down) == (RequestResult.AMBIGUOUS, True)
    assert not client.available
    assert health.parts["client main"].detail == f"Halo answered {status}"
    before = halo.counts["GET /api/Tickets"]
    exchange = await get(client)
    assert (exchange.result, exchange.down, halo.counts["GET /api/Tickets"]) == (RequestResult.NOT_SENT, True, before)
    failing = False
    await asyncio.wait_for(client.wait_available(), SOON)
    assert (await get(client)).ok


async def test_an_address_that_answers_with_pages_takes_it_down_so_that_a_queue_is_not_burnt(connect, halo, post):
    async def page(_):
        return web.Response(text="<html>", content_type="text/html")

    halo.on_api = page
    client = await connect()
    await client.wait_available()
    assert (await post(client)).down
    assert (await post(client)).result is RequestResult.NOT_SENT
    assert halo.counts["POST /api/Tickets"] == 1


async def test_a_halo_that_went_away_is_found_again(connect, halo, quick, get):
    client = await connect(clock=quick)
    await client.wait_available()
    await halo.stop()
    assert (await get(client)).down
    await client.wait_unavailable()
    await halo.start()
    await asyncio.wait_for(client.wait_available(), SOON)
    assert (await get(client)).ok


async def test_many_that_fail_together_share_one_probe(connect, halo, post):
    async def api(request):
        return web.json_response([]) if request.path == "/api/Status" else web.Response(status=503)

    halo.on_api = api
    client = await connect()
    await client.wait_available()
    exchanges = await asyncio.gather(*(post(client) for _ in range(20)))
    assert {exchange.down for exchange in exchanges} == {False}
    assert halo.counts["GET /api/Status"] <= 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(text="<html>", content_type="text/html"), "names no token endpoint (it answered with a web page)"),
        (lambda: web.Response(status=404), "it answered with status 404"),
        (lambda: web.json_response({"tenant_id": "acme"}), "names no token endpoint"),
        (lambda: web.json_response({"auth_url": "ftp://halo/auth"}), "not safe to use"),
        (lambda: web.json_response({"auth_url": "/auth"}), "not safe to use"),
    ],
)
async def test_a_discovery_that_fails_is_told_and_tried_again(connect, halo, quick, health, until, answer, words):
    broken = True

    async def info(_):
        return answer() if broken else web.json_response({"auth_url": f"{halo.url}/auth/"})

    halo.on_info = info
    client = await connect(clock=quick)
    await until(lambda: health.parts["client main"].detail != "starting")
    assert words in health.parts["client main"].detail
    assert halo.grants == []
    broken = False
    await asyncio.wait_for(client.wait_available(), SOON)


async def test_a_cancelled_request_leaves_the_client_usable(connect, halo, get, until):
    gate = asyncio.Event()

    async def api(_):
        await gate.wait()
        return web.json_response([])

    halo.on_api = api
    client = await connect()
    task = asyncio.create_task(client.send(Request("GET", "/Tickets"), priority=Priority.POLL))
    await until(lambda: halo.calls)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert (await get(client)).ok


async def test_no_secret_is_ever_written_down(connect, halo, quick, health, get, post):
    grant = Grant("password", "marker-app", "marker-secret", "marker-user", "marker-password")
    answers = [halo.give_token, lambda: web.json_response({"error": "invalid_grant", "error_description": "marker-password is wrong"}, status=400)]

    async def token(*_):
        return answers[len(halo.grants) % 2]()

    async def api(request):
        if request.path == "/api/Status":
            return web.json_response([])
        halo.revoke()
        return web.json_response({"Message": "token marker-token-1 and password 'marker-password' are bad"}, status=400)

    halo.on_token, halo.on_api = token, api
    texts = []
    with structlog.testing.capture_logs() as logs:
        client = await connect(clock=quick, grant=grant, headers={"X-Key": "marker-header"}, proxy=None)
        await client.wait_unavailable()
        for _ in range(6):
            exchange = await (post(client) if client.available else get(client))
            texts += [repr(exchange), repr(health.parts), repr(client), repr(client._auth._current), repr(client._client)]
            await asyncio.sleep(0)
    written = "\n".join([*texts, *map(repr, logs)])
    assert "token.refused" in written
    assert "request.done" in written
    for marker in ("marker-secret", "marker-password", "marker-token", "marker-header"):
        assert marker not in written
