"""Replicas with a backlog and one request limit: Halo never counts more than it allows. How much of it is used is measured without real time in `tests/unit/halo`."""

from __future__ import annotations

import asyncio
import signal
from bisect import bisect_left

import pytest

from tests.tools.job import publisher, routes
from tests.tools.waiting import SOON, until
from worker.sandbox.faults import Fault, FaultKind

LIMIT, WINDOW = 200, 15.0


def busiest(moments, seconds=WINDOW):
    """The most in any rolling window."""
    return max((index - bisect_left(moments, moment - seconds) + 1 for index, moment in enumerate(moments)), default=0)


def counted(halo):
    """When requests of any kind arrived, tokens too: this Halo counts them all."""
    return sorted(entry.time.timestamp() for entry in (*halo.journal.requests, *halo.journal.tokens))


def writes(halo):
    return [entry.time.timestamp() for entry in halo.journal.executed("POST", "/Asset")]


def refused(halo):
    return [entry for entry in halo.journal.requests if entry.status == 429]


async def minter(workers):
    """Whoever makes the permits."""

    async def look():
        return [worker for worker in workers if 'halo_worker_minting{client="main"} 1.0' in (await worker.get("/metrics"))[1]]

    (found,) = await until(look)
    return found


async def written(halo, count, within=SOON):
    async def enough():
        return len(writes(halo)) >= count

    await until(enough, within)


@pytest.mark.parametrize(("before", "after"), [(30, 20), pytest.param(210, 60, marks=pytest.mark.long)])
async def test_three_replicas_stay_within_the_limit_and_go_on_when_the_minter_is_killed(halos, stage, other, before, after):
    halo = await halos(rate_limit=LIMIT, rate_window=WINDOW, limit_counts_tokens=True, unique_names=False)
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.1))
    definition = routes(halo, publishers={"erp": publisher(concurrency=4)}, rate_limit=f"{LIMIT}/{WINDOW:g}s")
    workers = await asyncio.gather(*(stage.start(definition, name=f"replica-{number}") for number in range(3)))
    await asyncio.gather(*(other.send({"payload": {"inventory_number": f"SN-{number}"}}) for number in range(500)))

    await written(halo, before)
    victim = await minter(workers)
    killed = len(writes(halo))
    await victim.kill()
    await written(halo, killed + after)
    assert await minter([worker for worker in workers if worker is not victim])

    assert busiest(counted(halo)) <= LIMIT
    assert refused(halo) == []


@pytest.mark.long
async def test_a_minter_that_is_frozen_is_replaced_and_makes_nothing_on_top_when_it_thaws(halos, stage, other):
    halo = await halos(rate_limit=LIMIT, rate_window=WINDOW, limit_counts_tokens=True, unique_names=False)
    definition = routes(halo, publishers={"erp": publisher(concurrency=4)}, rate_limit=f"{LIMIT}/{WINDOW:g}s")
    workers = await asyncio.gather(*(stage.start(definition, name=f"replica-{number}", heartbeat=1) for number in range(2)))
    await asyncio.gather(*(other.send({"payload": {"inventory_number": f"SN-{number}"}}) for number in range(500)))
    await written(halo, 30)
    frozen = await minter(workers)
    frozen.signal(signal.SIGSTOP)
    (left,) = [worker for worker in workers if worker is not frozen]
    assert await minter([left]) is left
    before = len(writes(halo))
    await written(halo, before + 60)
    frozen.signal(signal.SIGCONT)
    await frozen.logged("broker.lost")
    await frozen.ready()
    before = len(writes(halo))
    await written(halo, before + 180)
    assert await minter(workers) is left
    assert busiest(counted(halo)) <= LIMIT
    assert refused(halo) == []
