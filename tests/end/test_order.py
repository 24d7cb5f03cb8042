"""Order per key over replicas: whoever dies or is cut off, what Halo carries out for one key is what was sent, in its order."""

from __future__ import annotations

import asyncio
import signal
from itertools import groupby
from random import Random

import pytest

from tests.tools.job import publisher, routes
from tests.tools.proxy import through_proxy
from tests.tools.waiting import SOON, soon, until
from worker.core.topology import WORK_LIMIT
from worker.sandbox.faults import Fault, FaultKind

KEYS = range(1, 9)
TIMEOUT = "1s"  # of a request to Halo: what may be under way when an owner dies is waited for


def ordered(**more):
    return publisher(order_by="{{ id }}", transform={"payload": {"id": "{{ id }}", "notes": "{{ $string(step) }}"}}, **more)


def applied(halo):
    """Per record the steps that Halo carried out, in its order; one that was repeated at once counts once."""
    done = [(record["id"], int(record["notes"])) for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]
    return {key: [step for step, _ in groupby(step for one, step in done if one == key)] for key in {key for key, _ in done}}


async def owner_of(workers, within=SOON):
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
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=500, probability=0.1, seed=7))
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.02))
    definition = routes(halo, publishers={"erp": ordered(concurrency=4, retry=["50ms"] * 10)}, timeout=TIMEOUT)
    workers = [await stage.start(definition, name="replica-0")]
    workers += await asyncio.gather(*(stage.start(name=f"replica-{number}") for number in (1, 2)))
    random = Random(5)
    steps, kills = 40, 2
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


async def test_an_owner_that_is_frozen_with_a_request_under_way_cannot_bring_it_after_its_successors(halos, stage, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", nth=5))
    definition = routes(halo, publishers={"erp": ordered(concurrency=2)}, timeout=TIMEOUT)
    first = await stage.start(definition, name="first", heartbeat=1)
    second = await stage.start(name="second", heartbeat=1)
    for step in range(10):
        await other.send({"id": 1, "step": step})
    await soon(held.arrived.wait())
    first.signal(signal.SIGSTOP)
    await second.logged("order.taken_over")
    for step in range(10, 20):
        await other.send({"id": 1, "step": step})
    halo.faults.remove(held.number)  # what the frozen one had sent is carried out only now
    await until(lambda: at_step(halo, 1, 4))
    assert applied(halo) == {1: [0, 1, 2, 3, 4]}
    first.signal(signal.SIGCONT)
    await until(lambda: at_step(halo, 1, 19))
    assert applied(halo) == {1: list(range(20))}
    await first.logged("broker.lost")
    await first.ready()
    assert (await first.parts())["publisher erp"]["detail"].startswith("standing by")
    await other.settles("assets.order")


async def test_an_owner_that_is_cut_off_but_lives_starts_nothing_more(halos, stage, amqp_url, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", nth=5))
    definition = routes(halo, publishers={"erp": ordered(concurrency=4)}, timeout="5s")
    async with through_proxy(amqp_url) as (proxied, proxy):
        first = await stage.start(definition, name="first", heartbeat=1, amqp_url=proxied)
        second = await stage.start(name="second", heartbeat=1)
        for step in range(10):
            await other.send({"id": 1, "step": step})
        await soon(held.arrived.wait())
        proxy.hold()
        for step in range(10):
            await other.send({"id": 2, "step": step})
        halo.faults.remove(held.number)
        await until(lambda: at_step(halo, 1, 4))
        await second.logged("order.taken_over")
        await until(lambda: at_step(halo, 2, 9))
        await until(lambda: at_step(halo, 1, 9))
        assert applied(halo) == {1: list(range(10)), 2: list(range(10))}
        proxy.release()
        await first.ready()
        await other.settles("assets.order")
        assert applied(halo) == {1: list(range(10)), 2: list(range(10))}


@pytest.mark.long
async def test_what_kills_whoever_takes_it_up_is_buried_after_a_while_and_its_neighbours_are_done(halos, stage, other):
    halo = await halos()
    find = {"query": {"search": "{{ id }}"}, "match": {"inventory_number": "{{ id }}"}, "use": "always"}
    create = {"payload": {"inventory_number": "{{ id }}"}}
    definition = routes(halo, publishers={"erp": publisher(order_by="{{ id }}", transform=create, find=find, concurrency=4)}, timeout=TIMEOUT)
    worker = await stage.start(definition, name="worker-0")
    workers = [worker]

    def die(received):
        if received.query.get("search") == "poison":
            workers[-1].signal(signal.SIGKILL)

    halo.on_request(die)
    await worker.stop()
    await other.put_into_room({"id": "poison"}, 5, message_id="poison", starts=WORK_LIMIT - 1)
    for number in range(3):
        await other.put_into_room({"id": f"neighbour-{number}"}, 6 + number, starts=WORK_LIMIT - 1)
    deaths = 0
    while not await other.depth("assets.dead"):
        workers.append(await stage.start(name=f"worker-{len(workers)}", ready=False))
        ended = asyncio.create_task(workers[-1].process.wait())
        buried = asyncio.create_task(until(lambda: other.depth("assets.dead")))
        await asyncio.wait([ended, buried], return_when=asyncio.FIRST_COMPLETED)
        deaths += ended.done()
        for task in (ended, buried):
            task.cancel()
        await asyncio.gather(ended, buried, return_exceptions=True)
    assert deaths == 2
    letter = await other.take("assets.dead")
    assert letter.body == {"id": "poison"}
    assert letter.headers["dead-class"] == "crashed"
    await until(lambda: emptied(halo))  # each of them runs alone, after the rest that a crash costs
    await other.settles("assets.order")
    assert await other.depth("assets.dead") == 0


async def emptied(halo):
    made = sorted(str(halo.store.get("asset", key)["inventory_number"]) for key in halo.journal.created("/Asset"))
    return made == [f"neighbour-{number}" for number in range(3)]


async def at_step(halo, key, step):
    return applied(halo).get(key, [None])[-1] == step
