"""What the network and Halo do wrong, and what the client makes of it."""

import asyncio
import tracemalloc

import pytest
from aiohttp import web

from tests.tools.bombs import bomb
from tests.tools.waiting import until
from worker.config.routes import RateLimit
from worker.core.exchange import Priority, Request, RequestResult


def execute(halo, then, path="/api/Tickets"):
    """Note each request for `path` as executed, then misbehave; everything else is answered well."""
    executed = []

    async def api(request):
        if request.path != path:
            return web.json_response([])
        executed.append(request.method)
        return await then(request)

    halo.on_api = api
    return executed


async def answered(asked):
    return (await asked).result is RequestResult.DONE


async def reset(request):
    request.transport.abort()
    return web.Response()


async def hang(_):
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request):
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": 17, ')
    request.transport.close()
    return response


async def test_a_halo_that_refuses_connections_is_down_and_nothing_was_sent(connect, halo, get):
    client = await connect()
    assert (await get(client)).ok
    await halo.stop()
    exchange = await get(client)
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert exchange.reason == f"127.0.0.1:{halo.port} cannot be reached: connection refused"


async def test_what_never_left_costs_no_budget(connect, halo, metrics, get):
    client = await connect(api_url="http://127.0.0.1:1/api", token_url=f"{halo.url}/auth/token", rate_limit=RateLimit(10, 300.0))
    await client.wait_available()
    assert (await get(client)).result is RequestResult.NOT_SENT
    assert metrics.registry.get_sample_value("halo_worker_budget_used", {"client": "main"}) == 1  # the token


async def test_a_name_that_does_not_resolve_is_told(connect, get):
    exchange = await get(await connect(url="http://halo.invalid"))
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert exchange.reason == "no token: halo.invalid:80 cannot be reached: the name cannot be resolved"


async def test_https_to_a_plain_port_is_told(connect, halo, get):
    exchange = await get(await connect(url=f"https://127.0.0.1:{halo.port}"))
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, True)
    assert "no TLS connection" in exchange.reason


async def test_a_connection_lost_after_executing_is_ambiguous_and_a_post_goes_out_once(connect, halo, post):
    executed = execute(halo, reset)
    client = await connect()
    exchange = await post(client)
    assert (exchange.result, exchange.down, executed) == (RequestResult.AMBIGUOUS, False, ["POST"])
    assert exchange.reason == f"127.0.0.1:{halo.port} closed the connection without an answer"
    assert client.available


async def test_a_delete_is_not_repeated_behind_our_back_and_a_get_is_repeated_once(connect, halo, get):
    executed = execute(halo, reset)
    client = await connect()
    await client.send(Request("DELETE", "/Tickets"), priority=Priority.WRITE)
    assert executed == ["DELETE"]
    await get(client)
    assert executed == ["DELETE", "GET", "GET"]


async def test_an_answer_after_our_patience_is_ambiguous(connect, halo, get, post):
    executed = execute(halo, hang)
    client = await connect(timeout=0.5)
    await until(lambda: answered(get(client, "/Status")))  # token and connection are there: on a busy machine they take the whole patience
    exchange = await post(client)
    assert (exchange.result, exchange.down, executed) == (RequestResult.AMBIGUOUS, False, ["POST"])
    assert exchange.reason == f"127.0.0.1:{halo.port} did not answer in time"


async def test_a_cut_body_means_done_but_unread(connect, halo, post):
    execute(halo, cut)
    exchange = await post(await connect())
    assert (exchange.result, exchange.status, exchange.reason) == (RequestResult.DONE_UNREAD, 200, "Halo answered 200, but the answer was cut off")


async def test_a_byte_now_and_then_does_not_go_on_for_ever(connect, halo, get):
    async def drip(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    execute(halo, drip)
    exchange = await get(await connect(timeout=0.5))
    assert (exchange.result, exchange.reason) == (RequestResult.DONE_UNREAD, "Halo answered 200, but the answer was not complete in time")


async def test_36_megabytes_are_read(connect, halo, get):
    rows = b"[" + b",".join([b'{"id":1,"subject":"' + b"x" * 1000 + b'"}'] * 36_000) + b"]"

    async def large(_):
        return web.Response(body=rows, content_type="application/json")

    execute(halo, large)
    exchange = await get(await connect())
    assert (exchange.result, len(exchange.body)) == (RequestResult.DONE, 36_000)


@pytest.mark.parametrize("kind", ["endless", "bomb"])
async def test_an_endless_answer_and_a_gzip_bomb_stop_at_the_limit_without_filling_memory(connect, halo, get, kind):
    async def endless(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" " * 1_000_000)

    packed = bomb(b" ", 400)

    async def explode(_):
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    execute(halo, endless if kind == "endless" else explode)
    client = await connect()
    tracemalloc.start()
    exchange = await get(client)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (exchange.result, exchange.reason) == (RequestResult.DONE_UNREAD, "Halo answered 200, but the answer is larger than 64 MiB")
    assert peak < 100 * 1024 * 1024


async def test_an_answer_of_few_bytes_and_many_values_is_refused_before_they_are_made(connect, halo, get):
    bomb = b"[" + b"{}," * 5_000_000 + b"{}]"

    async def explode(_):
        return web.Response(body=bomb, content_type="application/json")

    execute(halo, explode)
    client = await connect()
    tracemalloc.start()
    exchange = await get(client)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reason = "Halo answered 200, but the body has more than 4,000,000 names and values; at most 4,000,000 are read"
    assert (exchange.result, exchange.reason) == (RequestResult.DONE_UNREAD, reason)
    assert peak < 60 * 1024 * 1024


async def test_headers_without_end_are_no_answer_and_take_no_memory(connect, halo, get):
    async def swell(_):
        return web.Response(text="{}", headers={f"X-{number}": "v" * 8000 for number in range(2000)})

    execute(halo, swell)
    client = await connect()
    exchange = await get(client)
    assert (exchange.result, exchange.body) == (RequestResult.AMBIGUOUS, None)
    assert "that is not HTTP" in exchange.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_a_post_is_not_followed(connect, halo, post, status):
    async def redirect(_):
        return web.Response(status=status, headers={"Location": f"{halo.url}/api/Elsewhere"})

    executed = execute(halo, redirect)
    client = await connect()
    exchange = await post(client)
    assert (exchange.result, exchange.status, executed) == (RequestResult.AMBIGUOUS, status, ["POST"])
    assert "redirected to 127.0.0.1" in exchange.reason
    assert halo.counts["GET /api/Elsewhere"] + halo.counts["POST /api/Elsewhere"] == 0
    assert client.available  # the probe found that only this endpoint redirects


async def test_a_login_page_is_no_success(connect, halo, post, get):
    async def page(_):
        return web.Response(text="<!doctype html><title>Log in, Jane</title>", content_type="text/html")

    execute(halo, page)
    client = await connect()
    for exchange in (await post(client), await get(client)):
        assert (exchange.result, exchange.reason) == (RequestResult.AMBIGUOUS, "Halo answered 200 with a web page instead of JSON: check the client's address")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_one_endpoint_with_a_gateway_error_does_not_take_halo_down(connect, halo, post, status):
    async def fail(_):
        return web.Response(status=status)

    executed = execute(halo, fail)
    client = await connect()
    exchange = await post(client)
    assert (exchange.result, exchange.status, exchange.down, executed) == (RequestResult.AMBIGUOUS, status, False, ["POST"])
    assert client.available


@pytest.mark.parametrize("header", [{"Retry-After": "45"}, {}, {"Retry-After": "0"}])
@pytest.mark.parametrize("body", [b"", b'"Rate Limit Reached - 300 Requests per rolling 5 minute window"', b'{"Message": "Rate Limit Reached"}'])
async def test_a_429_pauses_everyone(connect, halo, quick, post, get, header, body):
    answers, arrivals = [web.Response(status=429, headers=header, body=body)], []

    async def throttle(_):
        arrivals.append(quick.monotonic())
        return answers.pop() if answers else web.json_response([])

    halo.on_api = throttle
    client = await connect(clock=quick)
    await client.wait_available()
    exchange = await post(client)
    assert exchange.result is RequestResult.THROTTLED
    assert exchange.retry_after == pytest.approx(45 if header.get("Retry-After") == "45" else 30, abs=1)
    assert all(later.ok for later in await asyncio.gather(get(client), post(client)))
    assert min(arrivals[1:]) - arrivals[0] >= exchange.retry_after - 1
    assert client.available
