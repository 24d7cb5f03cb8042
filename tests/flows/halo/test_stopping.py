"""What becomes of requests when the worker stops."""

import asyncio

import pytest
from aiohttp import web

from worker.config.routes import Client, Grant, RateLimit
from worker.core.exchange import RequestResult
from worker.halo.budget import Budgets
from worker.halo.client import open_client


@pytest.fixture
async def working(connect, halo, until, post):
    """A client with one request at Halo and one that waits for its turn; the gate opens Halo."""
    gate = asyncio.Event()

    async def api(_):
        await gate.wait()
        return web.json_response({"id": 1})

    halo.on_api = api
    client = await connect(rate_limit=RateLimit(3, 300.0))  # discovery and the token take two
    await client.wait_available()
    sent = asyncio.create_task(post(client))
    await until(lambda: halo.calls)
    waiting = asyncio.create_task(post(client))
    await until(lambda: client.access.budget.waiting)
    return client, gate, sent, waiting


async def test_what_waits_ends_unsent_and_what_is_under_way_ends_well(working, halo, post):
    client, gate, sent, waiting = working
    client.stop_waiting()
    exchange = await waiting
    assert (exchange.result, exchange.down, exchange.reason) == (RequestResult.NOT_SENT, False, "the worker stopped before the request was sent")
    assert (await post(client)).result is RequestResult.NOT_SENT
    gate.set()
    assert (await sent).result is RequestResult.DONE
    assert halo.counts == {"POST /api/Tickets": 1}
    assert client.available


async def test_after_the_stop_what_need_not_wait_is_still_sent(connect, post):
    client = await connect()
    await client.wait_available()
    client.stop_waiting()
    assert (await post(client)).ok


async def test_a_request_that_waits_for_a_token_ends_unsent(connect, halo, post, until):
    async def never(*_):
        await asyncio.Event().wait()

    halo.on_token = never
    client = await connect()
    waiting = asyncio.create_task(post(client))
    await until(lambda: halo.grants and client.access.shutdown._waiting)
    client.stop_waiting()
    assert ((await waiting).result, halo.calls) == (RequestResult.NOT_SENT, [])


async def test_a_token_rejected_while_stopping_leaves_the_request_unsent(connect, halo, post):
    client = await connect()
    await client.wait_available()
    halo.revoke()
    client.stop_waiting()
    exchange = await post(client)
    assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, False)


async def test_a_probe_that_can_no_longer_be_sent_does_not_declare_halo_well(connect, halo, post, until):
    async def fail(_):
        return web.Response(status=503)

    halo.on_api = fail
    client = await connect(rate_limit=RateLimit(3, 300.0))
    await client.wait_available()
    sent = asyncio.create_task(post(client))
    await until(lambda: client.access.budget.waiting)  # the probe
    client.stop_waiting()
    exchange = await sent
    assert (exchange.result, exchange.status, exchange.down) == (RequestResult.AMBIGUOUS, 503, True)


async def test_waiting_requests_that_are_cancelled_leave_nothing_behind(working):
    client, _, sent, waiting = working
    for task in (sent, waiting):
        task.cancel()
    await asyncio.wait([sent, waiting])
    assert client.access.budget.waiting == 0
    assert client.access.shutdown._waiting == set()


async def test_a_closed_client_leaves_no_task_behind(halo, health, metrics, quick, until):
    async def never(*_):
        await asyncio.Event().wait()

    halo.on_token = never
    before = asyncio.all_tasks()
    client = Client("main", halo.url, Grant("client_credentials", "app", "secret"))
    async with open_client(client, Budgets([client], quick), metrics, health, quick):
        await until(lambda: halo.grants)
        assert len(asyncio.all_tasks() - before) > 1
    await until(lambda: not [task for task in asyncio.all_tasks() - before if "client main" in task.get_name()])
