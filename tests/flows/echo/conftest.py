"""A worker that watches and writes the same records of a simulated Halo, and somebody else who changes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.flows.job.conftest import Job, Running, halos, job, memory_job  # noqa: F401 - fixtures: the worker on both brokers, or on the embedded one
from tests.tools.job import EVENTS, Letter, publisher, routes, subscriber
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.simulated_halo import SimulatedHalo

WRITES = "writes"


@dataclass
class Stage:
    """`seen` is the subscriber, `erp` the publisher, whose messages are payloads as they are."""

    job: Job
    halo: SimulatedHalo
    running: Running
    entity: str
    done: int = 0

    async def write(self, payload: Any, queue: str = WRITES, **document: Any) -> None:
        """One write of ours, until it is done."""
        self.done += 1
        await self.job.other.send({"payload": payload, **document}, queue)
        await self.running.settled("erp", "done", self.done)
        await next_tick()

    async def quiet(self, polls: int = 3) -> list[Letter]:
        """What else was published, after some more polls."""
        await self.running.polled("seen", polls)
        return await self.job.other.drain(EVENTS)

    async def told(self, count: int = 1, polls: int = 2) -> list[tuple[str, Any]]:
        """Exactly so many events: what happened to which record."""
        letters = await self.job.other.take_all(EVENTS, count)
        letters += await self.quiet(polls)
        assert len(letters) == count
        return sorted((letter.change, letter.body["id"]) for letter in letters)

    @asynccontextmanager
    async def between_polls(self) -> AsyncIterator[None]:
        """The next poll reads what there is after the block."""
        held = self.halo.fault(Fault(FaultKind.HOLD, "GET", f"/{self.entity}", times=None))
        await self.running.until(lambda: held.struck > 0)
        yield
        self.halo.faults.remove(held.number)

    def echoes(self) -> int:
        return int(self.running.value("echoes_total", route="seen"))


def definitions(halo: SimulatedHalo, entity: str, *, method: str = "POST", name: str = "seen", **more: Any) -> dict[str, Any]:
    watching = subscriber(entity=entity, **({"start": "now", "every": "50ms"} | more))
    writing = publisher(entity=entity if method == "POST" else f"{entity}/{{id}}", queue=WRITES, method=method)
    return routes(halo, subscribers={name: watching}, publishers={"erp": writing})


async def stage(of: Job, halo: SimulatedHalo, entity: str, **more: Any) -> Stage:
    """The subscriber has learnt what there is."""
    running = await of.start(definitions(halo, entity, **more))
    await running.polled("seen", 2, "complete")
    if more.get("start") == "beginning":
        await of.other.take_all(EVENTS, halo.store.count(entity))
    return Stage(of, halo, running, entity)


async def next_tick():
    """Past the step of Halo's clock in which we wrote: a change within the same 1/300 second cannot be told from ours."""
    await asyncio.sleep(0.01)
