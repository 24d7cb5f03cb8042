"""Waking a subscriber that would poll much later, on both brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.flows.job.conftest import Halos, Job
from tests.tools.job import EVENTS, routes, subscriber
from tests.tools.waiting import soon, until
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.health import Health
from worker.flows.hooks import poll_trigger as module
from worker.flows.hooks.poll_trigger import PollTrigger, wake_queue, wake_topology
from worker.metrics import Metrics
from worker.state.baton_lease import open_lease
from worker.state.bootstrap import ensure_baton

CLOCK = SystemClock()


@asynccontextmanager
async def waking(job: Job) -> AsyncIterator[tuple[PollTrigger, Health]]:
    """Beside the worker, as on another replica."""
    health, stop = Health(), asyncio.Event()
    flow = PollTrigger("tickets", CLOCK, Metrics(), health)
    async with open_broker(job.url, name="waking", server=job.server) as broker:
        await broker.declare(wake_topology("tickets"))
        serving = asyncio.create_task(flow.serve(broker, stop))
        try:
            yield flow, health
        finally:
            stop.set()
            await soon(serving)


@pytest.fixture
async def start(job: Job, halos: Halos, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    monkeypatch.setattr(module, "TRIGGER_PAUSE", 0.05)
    monkeypatch.setattr(module, "BATON_RETRY", 0.02)
    async with AsyncExitStack() as stack:

        async def started(**more: Any) -> Any:
            halo = await halos()
            running = await job.start(routes(halo, subscribers={"tickets": subscriber(every="1h", start="now") | more}))
            await running.until(lambda: running.polls("tickets", "complete") == 1)
            await stack.enter_async_context(waking(job))
            return halo, running

        yield started


async def call(job: Job, number: int = 1) -> None:
    for _ in range(number):
        await job.other.send({"id": 7}, wake_queue("tickets"))


@pytest.mark.parametrize("changes", ["by_date", "by_content"])
async def test_a_woken_subscriber_publishes_the_change_at_once(job: Job, start, changes):
    halo, _ = await start(changes=changes)
    halo.store.update("Tickets", 7, {"summary": "changed"})
    await call(job)
    letter = await job.other.take(EVENTS)
    assert (letter.body["id"], letter.body["summary"], letter.change) == (7, "changed", "updated")
    await job.other.settles(wake_queue("tickets"), 0)


async def test_many_calls_are_answered_by_few_polls(job: Job, start):
    _, running = await start()
    await call(job, 100)
    await job.other.settles(wake_queue("tickets"), 0)
    await running.until(lambda: running.polls("tickets", "complete") >= 2)
    assert running.polls("tickets") < 20


async def test_a_call_during_a_turn_makes_the_next_turn_due(job: Job, monkeypatch: pytest.MonkeyPatch):
    """The poll under way may have read the record before it changed."""
    monkeypatch.setattr(module, "BATON_RETRY", 0.02)
    broker = job.other.broker
    await ensure_baton(broker, CLOCK, "tickets")
    async with open_lease(broker, CLOCK, "tickets") as (lease, _), waking(job):
        await lease.listen()
        held = await lease.take(await soon(lease.arrival()))
        assert held is not None
        await call(job)
        await job.other.settles(wake_queue("tickets"), 0)  # in the hands of the one who wakes
        await lease.put(held, held.baton.advanced(due=CLOCK.now() + 3600))
        again = await lease.take(await soon(lease.arrival()))
        assert again is not None
        assert (again.baton.generation, again.baton.due <= CLOCK.now()) == (1, True)


async def test_it_says_whether_it_listens(job: Job, start):
    await start()
    async with waking(job) as (flow, health):
        await until(lambda: asyncio.sleep(0, flow.part in health.parts))
        assert health.ready
    assert flow.part == "waking tickets"


async def test_a_call_that_was_answered_does_not_come_again(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TRIGGER_PAUSE", 0.0)
    await ensure_baton(job.other.broker, CLOCK, "tickets")
    async with open_lease(job.other.broker, CLOCK, "tickets") as (lease, _):
        await lease.listen()
        held = await lease.take(await soon(lease.arrival()))
        assert held is not None
        await lease.put(held, held.baton.advanced(due=CLOCK.now() + 3600))
        async with waking(job):
            await call(job)
            await soon(lease.arrival())  # it was made due
    await job.other.settles(wake_queue("tickets"), 0)
    assert len(await job.other.drain(wake_queue("tickets"))) == 0
