"""Fair turns over replicas: a flood of one customer holds up no other, and kills lose and double nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.job import publisher, routes
from tests.tools.waiting import until
from worker.sandbox.faults import Fault, FaultKind

AT_ONCE = 500
NAME = "{{ customer & '-' & number }}"


def fair(**more):
    created = {"payload": {"inventory_number": NAME}}
    return publisher(**({"fair_by": "{{ customer }}", "transform": created, "concurrency": 4} | more))


async def send(other, customer, messages):
    for start in range(0, messages, AT_ONCE):
        await asyncio.gather(*(other.send({"customer": customer, "number": number}) for number in range(start, min(start + AT_ONCE, messages))))


def executed(halo):
    return [record["inventory_number"] for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]


@pytest.mark.parametrize(("messages", "kills"), [(150, 1), pytest.param(600, 3, marks=pytest.mark.long)])
async def test_kills_during_a_flood_lose_nothing_and_double_nothing(halos, stage, other, messages, kills):
    halo = await halos(create_seconds=0)
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.01))
    find = {"query": {"search": NAME}, "match": {"inventory_number": NAME}, "then": "skip"}
    definition = routes(halo, publishers={"erp": fair(find=find)}, timeout="1s")
    worker = await stage.start(definition, name="worker-0")
    sending = asyncio.create_task(send(other, "flood", messages))
    for life in range(1, 1 + kills):
        done = len(executed(halo))
        await until(lambda done=done: later(halo, done + 40))
        await worker.kill()
        worker = await stage.start(name=f"worker-{life}")
    await sending
    await send(other, "single", 1)
    wanted = sorted([f"flood-{number}" for number in range(messages)] + ["single-0"])
    await until(lambda: later(halo, messages + 1))
    assert sorted(executed(halo)) == wanted
    await other.settles("assets.order")
    assert await other.depth("assets") == await other.depth("assets.dead") == 0
    assert await worker.stop() == 0


async def later(halo, done):
    return len(executed(halo)) >= done


@pytest.mark.long
async def test_the_single_message_behind_a_flood_of_ten_thousand_is_sent_after_a_few_of_them(halos, stage, other):
    """Halo answers as slowly as its request limit allows 15 requests a second."""
    halo = await halos(create_seconds=0)
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.2))
    await stage.start(routes(halo, publishers={"erp": fair()}))
    await send(other, "flood", 10_000)
    before, started = len(executed(halo)), asyncio.get_running_loop().time()
    await send(other, "single", 1)
    await until(lambda: sent(halo, "single-0"))
    seconds = asyncio.get_running_loop().time() - started
    between = executed(halo).index("single-0") - before
    assert between <= 1000, f"its turn came after {seconds:.1f} s"


async def sent(halo, name):
    return name in executed(halo)
