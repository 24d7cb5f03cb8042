"""A request with a gate leaves when the gate lets it through, soon after that, or never."""

import asyncio
import time

from aiohttp import web

from worker.config.routes import RateLimit
from worker.core.exchange import Fate, Priority, Request

SOON = 60.0


def create(client, gate):
    return client.send(Request("POST", "/Asset", body=[{"notes": "x"}], gate=gate), priority=Priority.WRITE)


async def test_what_the_gate_lets_through_is_sent(connect, halo):
    async def gate():
        return time.monotonic() + SOON

    assert (await create(await connect(), gate)).ok
    assert halo.counts == {"POST /api/Asset": 1}


async def test_what_it_does_not_let_through_is_not_sent_and_is_no_word_about_halo(connect, halo):
    async def gate():
        return None

    client = await connect(rate_limit=RateLimit(3, 300.0))  # discovery and the token take two
    await client.wait_available()
    for _ in range(3):
        exchange = await create(client, gate)
        assert (exchange.fate, exchange.down) == (Fate.NOT_SENT, False)
    assert client.available
    assert (await create(client, None)).ok, "the place in the budget was given back"
    assert halo.counts == {"POST /api/Asset": 1}


async def test_what_comes_too_late_is_not_sent_and_is_no_word_about_halo(connect, halo):
    """As in a process that is stopped between its claim and the first byte, and goes on a minute later; on a new connection and on one that is used again."""

    async def gate():
        return time.monotonic() - 0.001

    client = await connect()
    await client.wait_available()
    for _ in range(2):
        exchange = await create(client, gate)
        assert (exchange.fate, exchange.down) == (Fate.NOT_SENT, False)
        assert (await create(client, None)).ok
    assert client.available
    assert halo.counts == {"POST /api/Asset": 2}


async def test_the_gate_is_asked_when_the_turn_has_come(connect, halo, until):
    held, asked = asyncio.Event(), []

    async def api(_):
        await held.wait()
        return web.json_response({"id": 1})

    async def gate():
        asked.append(1)
        return time.monotonic() + SOON

    halo.on_api = api
    client = await connect(rate_limit=RateLimit(3, 300.0))
    first = asyncio.create_task(create(client, None))
    await until(lambda: halo.calls)
    waiting = asyncio.create_task(create(client, gate))
    await until(lambda: client._budget.waiting)
    assert asked == []
    client.stop_waiting()
    assert (await waiting).fate is Fate.NOT_SENT
    assert asked == []
    held.set()
    await first


async def test_the_gate_is_asked_again_before_the_request_that_follows_a_refused_token(connect, halo):
    answers = [time.monotonic() + SOON, None]

    async def gate():
        return answers.pop(0)

    client = await connect()
    await client.wait_available()
    assert (await create(client, None)).ok
    halo.revoke()
    assert (await create(client, gate)).fate is Fate.NOT_SENT
    assert answers == []
    assert halo.counts == {"POST /api/Asset": 2}, "the one that was refused, and none after it"


async def test_a_stop_does_not_cut_the_gate_off_from_its_request(connect, halo, until):
    opened, asked = asyncio.Event(), []

    async def gate():
        asked.append(1)
        await opened.wait()
        return time.monotonic() + SOON

    client = await connect()
    sending = asyncio.create_task(create(client, gate))
    await until(lambda: asked)
    client.stop_waiting()
    opened.set()
    assert (await sending).ok
    assert halo.counts == {"POST /api/Asset": 1}
