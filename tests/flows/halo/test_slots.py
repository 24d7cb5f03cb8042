"""A reserved slot: one request leaves within its time or never, and what is not sent costs nothing of the budget."""

import asyncio
import time

from aiohttp import web

from worker.config.routes import RateLimit
from worker.core.exchange import Exchange, Priority, Request, RequestResult

SOON = 60.0
CREATE = Request("POST", "/Asset", body=[{"notes": "x"}])


def reserve(client, after=None):
    return client.reserve(CREATE, priority=Priority.WRITE, after=after)


async def create(client, until=None):
    async with reserve(client) as slot:
        return slot if isinstance(slot, Exchange) else await slot.send(until)


async def test_what_is_sent_in_time_arrives(connect, halo):
    assert (await create(await connect(), time.monotonic() + SOON)).ok
    assert halo.counts == {"POST /api/Asset": 1}


async def test_an_unused_slot_is_given_back(connect, halo):
    client = await connect(rate_limit=RateLimit(3, 300.0))  # discovery and the token take two
    await client.wait_available()
    for _ in range(3):
        async with reserve(client):
            pass
    assert client.available
    assert (await create(client)).ok, "the place in the budget was given back"
    assert halo.counts == {"POST /api/Asset": 1}


async def test_what_comes_too_late_is_not_sent_and_is_no_word_about_halo(connect, halo):
    """As in a process that is stopped between its claim and the first byte, and goes on a minute later; on a new connection and on one that is used again."""
    client = await connect()
    await client.wait_available()
    for _ in range(2):
        exchange = await create(client, time.monotonic() - 0.001)
        assert (exchange.result, exchange.down) == (RequestResult.NOT_SENT, False)
        assert (await create(client)).ok
    assert client.available
    assert halo.counts == {"POST /api/Asset": 2}


async def test_a_slot_is_there_when_the_turn_has_come(connect, halo, until):
    held, reserved = asyncio.Event(), []

    async def api(_):
        await held.wait()
        return web.json_response({"id": 1})

    async def waits():
        async with reserve(client) as slot:
            reserved.append(slot)

    halo.on_api = api
    client = await connect(rate_limit=RateLimit(3, 300.0))
    first = asyncio.create_task(create(client))
    await until(lambda: halo.calls)
    waiting = asyncio.create_task(waits())
    await until(lambda: client.access.budget.waiting)
    assert reserved == []
    client.stop_waiting()
    await waiting
    [refused] = reserved
    assert refused.result is RequestResult.NOT_SENT
    held.set()
    await first


async def test_a_refused_token_costs_one_more_reservation_with_another_token(connect, halo):
    client = await connect()
    await client.wait_available()
    assert (await create(client)).ok
    halo.revoke()
    refused = await create(client)
    assert (refused.status, bool(refused.stale_token)) == (401, True)
    async with reserve(client, after=refused) as slot:
        assert (await slot.send(time.monotonic() + SOON)).ok
    assert halo.counts == {"POST /api/Asset": 3}


async def test_a_stop_does_not_take_a_reserved_slot_away(connect, halo):
    client = await connect()
    async with reserve(client) as slot:
        client.stop_waiting()
        assert (await slot.send(time.monotonic() + SOON)).ok
    assert halo.counts == {"POST /api/Asset": 1}


async def test_a_cancelled_request_keeps_its_place_since_it_may_have_left(connect, halo, until):
    async def api(_):
        await asyncio.Event().wait()

    halo.on_api = api
    client = await connect(rate_limit=RateLimit(3, 300.0))
    sending = asyncio.create_task(create(client))
    await until(lambda: halo.calls)
    used = client.access.budget.used
    sending.cancel()
    await asyncio.wait([sending])
    assert client.access.budget.used == used
