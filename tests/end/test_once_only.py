"""Creates whose replicas are stopped, cut off or killed at the worst moment: one record each, and what was never sent is not parked."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.tools.job import publisher, routes
from tests.tools.proxy import through_proxy
from tests.tools.waiting import until
from worker.sandbox.faults import Does, Fault

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
HEARTBEAT = 1
CLAIM = b'"owner"'


def created(halo):
    return sorted(halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset"))


async def send(other, serial="SN-1"):
    await other.send({"payload": {"inventory_number": serial}})


async def true(condition, within=60):
    async def asked():
        return condition()

    await until(asked, within)


async def taken_away(other):
    """Until the broker has given up on whoever had the message."""

    async def ready():
        return await other.depth("assets") > 0

    await until(ready, 60)


@pytest.mark.parametrize(
    ("find", "claims", "left"),
    [(FIND, 1, ["SN-1"]), (None, 1, ["SN-1"]), (None, 2, [])],
    ids=["after its claim, found by another", "before its claim, made by another", "after its claim, parked by another"],
)
async def test_a_replica_that_was_stopped_before_its_post_sends_nothing_when_it_goes_on(halos, stage, amqp_url, other, find, claims, left):
    """Its claim goes out, the answer is held back, it is stopped, and wakes up with the answer when another replica has long dealt with the message."""
    halo = await halos()
    seen, held = [], asyncio.Event()

    def watch(data, up):
        if up and CLAIM in data:
            seen.append(data)
            if len(seen) == claims:
                proxy.hold(up=False)
                held.set()
        return True

    async with through_proxy(amqp_url) as (url, proxy):
        route = publisher(find=find) if find else publisher()
        definition = routes(halo, publishers={"erp": route}, timeout="1s")
        first = await stage.start(definition, name="first", heartbeat=HEARTBEAT, amqp_url=url)
        proxy.watch = watch
        await send(other)
        await asyncio.wait_for(held.wait(), 20)
        first.signal(signal.SIGSTOP)
        await taken_away(other)
        await stage.start(name="second", heartbeat=HEARTBEAT)
        if left:
            await true(lambda: created(halo) == left)
        else:
            letter = await other.take("assets.dead", 60)
            assert letter.headers["dead-class"] == "in_doubt"
        first.signal(signal.SIGCONT)
        proxy.release()
        await first.logged("broker.lost")
        await first.ready()
    assert created(halo) == left
    assert await other.depth("assets.dead") == 0


async def test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message(halos, stage, amqp_url, other):
    halo = await halos()
    posted = halo.fault(Fault(Does.HOLD, "POST", "/Asset"))
    async with through_proxy(amqp_url) as (url, proxy):
        definition = routes(halo, publishers={"erp": publisher(find=FIND)}, timeout="9s")
        first = await stage.start(definition, name="first", heartbeat=HEARTBEAT, amqp_url=url)
        await send(other)
        await asyncio.wait_for(posted.arrived.wait(), 20)
        proxy.hold()
        await taken_away(other)
        second = await stage.start(name="second", heartbeat=HEARTBEAT)
        await true(lambda: halo.journal.received("GET", "/Asset"))
        halo.faults.remove(posted.number)
        await second.logged("message.done")
        proxy.release()
        await first.ready()
    assert created(halo) == ["SN-1"]
    assert await other.depth("assets.dead") == 0


SECOND = [
    Fault(Does.RESET, "POST", "/Asset", executed=True),
    Fault(Does.ANSWER, "POST", "/Asset", status=500, executed=True),
    Fault(Does.HTML, "POST", "/Asset", executed=True),
    Fault(Does.CUT, "POST", "/Asset"),
]


@pytest.mark.parametrize("fault", SECOND, ids=lambda fault: fault.does.value)
@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
async def test_a_worker_that_is_killed_with_its_post_under_way_leaves_one_record_whatever_happens_to_the_next(halos, stage, other, fault, executed):
    halo = await halos()
    posted = halo.fault(Fault(Does.RESET if not executed else Does.HOLD, "POST", "/Asset", executed=executed))
    first = await stage.start(routes(halo, publishers={"erp": publisher(find=FIND)}, timeout="1s"), name="first")
    await send(other)
    await asyncio.wait_for(posted.arrived.wait(), 20)
    await first.kill()
    halo.fault(fault)
    await stage.start(name="second")

    async def done():
        return created(halo) == ["SN-1"] and await other.depth("assets") == 0

    await until(done, 60)
    assert created(halo) == ["SN-1"]
    assert await other.depth("assets.dead") == 0


async def test_what_only_waited_for_its_turn_when_the_worker_died_is_not_parked_and_sent_once(halos, stage, other):
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(concurrency=4)}, rate_limit="5/4s")
    first = await stage.start(definition, name="first")
    for number in range(8):
        await send(other, f"SN-{number}")

    def between_two_turns():
        return 0 < len(created(halo)) == len(first.log("message.done")) < 8

    await true(between_two_turns)
    await asyncio.sleep(0.3)
    assert between_two_turns(), "nothing is under way"
    await first.kill()
    await stage.start(name="second")
    await true(lambda: len(created(halo)) == 8)
    assert len(set(created(halo))) == 8
    assert await other.depth("assets.dead") == 0
