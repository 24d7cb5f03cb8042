"""Order per key over replicas: whoever dies or is cut off, what Halo carries out for one key is what was sent, in its order."""

from __future__ import annotations

import asyncio
from itertools import groupby
from random import Random

from tests.tools.job import publisher, routes
from tests.tools.waiting import until
from worker.sandbox.faults import Does, Fault

KEYS = range(1, 9)
TIMEOUT = "1s"  # of a request to Halo: what may be under way when an owner dies is waited for


def ordered(**more):
    return publisher(order_by="{{ id }}", transform={"payload": {"id": "{{ id }}", "notes": "{{ $string(step) }}"}}, **more)


def applied(halo):
    """Per record the steps that Halo carried out, in its order; one that was repeated at once counts once."""
    done = [(record["id"], int(record["notes"])) for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]
    return {key: [step for step, _ in groupby(step for one, step in done if one == key)] for key in {key for key, _ in done}}


async def owner_of(workers, within=40):
    """Whoever keeps the order now."""

    async def found():
        for worker in workers:
            if worker.running and "in order by key" in (await worker.parts()).get("publisher erp", {}).get("detail", ""):
                return worker
        return None

    return await until(found, within)


async def all_applied(halo, steps, within):
    async def done():
        return all(applied(halo).get(key, [None])[-1] == steps - 1 for key in KEYS)

    await until(done, within)


async def test_three_replicas_keep_the_order_when_the_one_that_applies_it_is_killed_again_and_again(halos, stage, other):
    halo = await halos(create_seconds=0)
    halo.fault(Fault(Does.ANSWER, "POST", "/Asset", times=None, status=500, probability=0.1, seed=7))
    halo.fault(Fault(Does.DELAY, "POST", "/Asset", times=None, seconds=0.02))
    definition = routes(halo, publishers={"erp": ordered(concurrency=4, retry=["50ms"] * 10)}, timeout=TIMEOUT)
    workers = [await stage.start(definition, name="replica-0")]
    workers += await asyncio.gather(*(stage.start(name=f"replica-{number}") for number in (1, 2)))
    random = Random(5)
    steps, kills = 60, 3
    for step in range(steps):
        for key in KEYS:
            await other.send({"id": key, "step": step})
        if step % 15 == 14 and kills:
            kills -= 1
            owner = await owner_of(workers)
            await asyncio.sleep(random.uniform(0, 0.3))
            await owner.kill()
            workers.append(await stage.start(name=f"replica-{len(workers)}"))
    await all_applied(halo, steps, 90)
    assert applied(halo) == {key: list(range(steps)) for key in KEYS}
    await other.settles("assets")
    await other.settles("assets.order")
    assert await other.depth("assets.dead") == 0
    for worker in workers:
        if worker.running:
            assert (await worker.get("/readyz"))[0] == 200
            assert await worker.stop() == 0
