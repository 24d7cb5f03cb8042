"""The network between the worker and its broker is cut, holds or loses: rows 3, 4, 5 and 24."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.end.matrix.conftest import creating
from tests.tools.proxy import through_proxy
from tests.tools.waiting import SOON, soon, until
from worker.sandbox.faults import Fault, FaultKind

STORM = 5  # seconds
QUICK = {"timeout": "1s"}  # a copy that may have been sent waits for as long as Halo is given, and some seconds


@pytest.mark.long
async def test_connections_that_are_reset_every_half_second_cost_nothing(case, stage):
    """Row 3."""
    await case.listen()
    async with through_proxy(case.url) as (proxied, proxy):
        worker = await stage.start(creating(case.halo, watching=True, client=QUICK), amqp_url=proxied, **case.quick)
        until_then = time.monotonic() + STORM
        while time.monotonic() < until_then:
            await case.create(4)
            case.halo.store.update("tickets", len(case.sent) % 20 + 1, {"summary": f"change {len(case.sent)}"})
            await asyncio.sleep(0.5)
            proxy.reset()
        await worker.ready()
        await case.done()
        attached = len(worker.log("broker.attached"))
        await case.judged(worker, reconnected=attached >= 3)


async def test_a_black_hole_to_the_broker_is_noticed_by_heartbeats_and_ends_nobody(case, stage):
    """Row 4."""
    async with through_proxy(case.url) as (proxied, proxy):
        worker = await stage.start(creating(case.halo), amqp_url=proxied, **case.quick)
        await case.create(5)
        await case.done()
        proxy.hold()
        began = time.monotonic()
        await worker.logged("broker.lost")
        noticed = time.monotonic() - began
        status, _ = await worker.get("/readyz")
        down = await worker.metric("broker_up")
        alive, _ = await worker.get("/livez")
        await case.create(5)
        proxy.release()
        await worker.ready()
        await case.done()
        await case.judged(worker, noticed_in_time=noticed < SOON, unready=status == 503, broker_up=down == 0.0, alive=alive == 200)


async def test_events_whose_confirm_is_lost_are_published_again_under_the_same_dedupe_key(case, stage):
    """Row 5."""
    listener = await case.listen()
    silent = asyncio.Event()

    def confirms_vanish(data: bytes, up: bool) -> bool:
        """From the first event on; the worker also publishes notes about itself, whose confirm must not hold up the turn."""
        if up and b"tickets.updated" in data:
            silent.set()
        return up or not silent.is_set()

    async with through_proxy(case.url) as (proxied, proxy):
        worker = await stage.start(creating(case.halo, watching=True), amqp_url=proxied, **case.quick)
        await listener.hears(20)
        await case.done()
        proxy.watch = confirms_vanish
        for number in range(1, 6):
            case.halo.store.update("tickets", number, {"summary": f"change {number}"})
        await soon(silent.wait())
        await listener.hears(21)
        proxy.watch = None
        proxy.reset()
        await worker.logged("broker.lost")
        await worker.ready()
        await case.done()
        await listener.hears(26)
        copies = [key for key, heard in listener.keys.items() if heard > 1]
        await case.judged(worker, published_again=bool(copies))


async def test_two_that_hold_the_cursor_at_once_only_publish_copies(case, stage):
    """Row 24: what the first says no longer reaches the broker, which hands its turn to the second; then the network comes back."""
    listener = await case.listen()
    held = case.halo.fault(Fault(FaultKind.HOLD, "GET", "/Tickets"))
    async with through_proxy(case.url) as (proxied, proxy):
        first = await stage.start(creating(case.halo, watching=True), amqp_url=proxied, ready=False, name="first", **case.quick)
        await soon(held.arrived.wait())
        proxy.hold(down=False)
        second = await stage.start(name="second", **case.quick)
        await listener.hears(20)
        case.halo.faults.clear()
        case.halo.store.update("tickets", 3, {"summary": "while there were two"})
        await listener.hears(21)
        proxy.release()
        proxy.reset()
        await first.logged("broker.attached")
        await until(lambda: polled_again(first, second))
        await case.done()
        letters = len(listener.letters)
        await case.judged(first, second, only_copies=letters >= 21)


async def polled_again(*workers):
    """Whether each had a turn of its own lately."""
    return all([await worker.metric("polls_total", result="complete") > 1 for worker in workers])
