"""Several replicas share one subscriber: never two polls in an interval, and nobody is missed for long."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

from tests.tools.job import listening, routes, subscriber
from tests.tools.waiting import SOON, soon, until
from worker.core.topology import wait_queue
from worker.sandbox.faults import Fault, FaultKind

INTERVAL = 1.0


def poll_times(halo):
    """When polls began, in seconds: one request each, as all tickets stand on one page."""
    return [entry.time.timestamp() for entry in halo.journal.received("GET", "/Tickets")]


async def polled(halo, count, within=SOON):
    async def enough():
        return len(poll_times(halo)) >= count

    await until(enough, within)


def last_holder(workers):
    """Whoever had the last turn."""
    return max(workers, key=lambda worker: max((line["timestamp"] for line in worker.log("poll.ended")), default=""))


async def test_replicas_never_poll_twice_in_one_interval_and_one_that_is_killed_is_replaced(halos, stage, broker, other):
    halo = await halos(tickets=20)
    definition = routes(halo, subscribers={"tickets": subscriber(every="1s")})
    async with listening(broker) as listener:
        workers = await asyncio.gather(*(stage.start(definition, name=f"replica-{number}") for number in range(3)))
        await polled(halo, 6)
        await other.settles(wait_queue("tickets"), 1)  # between two turns: the baton waits in the broker
        before = len(poll_times(halo))
        await last_holder(workers).kill()
        await polled(halo, before + 4)
        times = poll_times(halo)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(gaps) >= 9
        assert min(gaps) >= INTERVAL * 0.98, gaps
        halo.store.update("tickets", 5, {"summary": "still watched"})
        await listener.hears(21)
        assert len(listener.letters) == len(listener.keys) == 21


async def test_the_turn_of_a_replica_that_is_killed_in_its_middle_is_taken_by_another_long_before_the_next_is_due(halos, stage, broker):
    halo = await halos(tickets=20)
    held = halo.fault(Fault(FaultKind.HOLD, "GET", "/Tickets"))
    async with listening(broker) as listener:
        first = await stage.start(routes(halo, subscribers={"tickets": subscriber(every="1h")}), name="first")
        await soon(held.arrived.wait())
        second = await stage.start(name="second")
        assert len(poll_times(halo)) == 1
        await first.kill()
        await second.logged("poll.ended")
        await listener.hears(20)
        assert len(listener.letters) == len(listener.keys) == 20


async def test_a_holder_that_is_frozen_in_its_turn_and_thawed_neither_moves_the_cursor_back_nor_loses_anything(halos, stage, broker):
    halo = await halos(tickets=20)
    definition = routes(halo, subscribers={"tickets": subscriber(every="500ms")})
    async with listening(broker) as listener:
        first = await stage.start(definition, name="first", heartbeat=1)
        await listener.hears(20)
        frozen = asyncio.Event()

        def freeze(received):
            if received.path == "/api/Tickets" and not frozen.is_set():
                first.signal(signal.SIGSTOP)
                frozen.set()

        halo.on_request(freeze)
        await soon(frozen.wait())
        await until(lambda: stopped(first))
        second = await stage.start(name="second", heartbeat=1)
        halo.store.update("tickets", 3, {"summary": "while it is frozen"})
        await listener.hears(21)  # the broker misses the frozen one's heartbeats, and hands the baton to the other
        await ended(second, 3)

        first.signal(signal.SIGCONT)
        await first.logged("broker.lost")
        halo.store.update("tickets", 4, {"summary": "after it thawed"})
        await listener.hears(22)
        await first.ready()
        await ended(first, len(first.log("poll.ended")) + 2)
        await ended(second, len(second.log("poll.ended")) + 2)
        assert len(listener.letters) == len(listener.keys) == 22, "a cursor that went back would publish again"


async def ended(worker, polls, within=SOON):
    async def enough():
        return len(worker.log("poll.ended")) >= polls

    await until(enough, within)


async def stopped(worker):
    return "T (stopped)" in status_of(worker.process.pid)


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()
