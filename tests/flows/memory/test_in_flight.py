"""Bodies in flight are bounded over all routes: what does not fit waits unread, and is done once all the same."""

from __future__ import annotations

from collections import Counter

from tests.flows.memory.conftest import MEBIBYTE, asset, created, start
from tests.tools.job import publisher, routes
from worker.sandbox.faults import Fault, FaultKind

WIDE = {"concurrency": 8}


def used(running, kind="bodies"):
    return running.value("memory_used_bytes", kind=kind)


async def test_more_than_fits_is_done_once_each_and_never_more_than_fits_is_in_hand(job, halos):
    halo = await halos(create_seconds=0.02)
    running = await start(job, routes(halo, publishers={name: publisher(queue=name, **WIDE) for name in ("one", "two", "three")}))
    seen = []
    halo.on_request(lambda _: seen.append(used(running)))
    for number in range(24):
        await job.other.send(asset(number, MEBIBYTE + MEBIBYTE // 4), queue=("one", "two", "three")[number % 3])
    await running.until(lambda: sum(running.messages(name, "done") for name in ("one", "two", "three")) == 24)
    assert created(halo) == Counter(f"SN-{number}" for number in range(24))
    assert 0 < max(seen) <= 4 * MEBIBYTE
    await running.until(lambda: used(running) == used(running, "work") == 0)
    for name in ("one", "two", "three"):
        assert await job.other.drain(f"{name}.dead") == []


async def test_small_messages_of_another_route_go_through_while_large_ones_wait(job, halos):
    halo = await halos()
    small = publisher(queue="small", entity="Tickets")
    running = await start(job, routes(halo, publishers={"large": publisher(queue="large", **WIDE), "small": small}))
    held = halo.fault(Fault(FaultKind.HOLD, method="POST", path="/Asset", times=None))
    for number in range(8):
        await job.other.send(asset(number, MEBIBYTE + MEBIBYTE // 4), queue="large")
    await running.until(lambda: running.value("memory_waiting", kind="bodies") > 0)
    for number in range(20):
        await job.other.send({"payload": {"summary": f"ticket {number}", "details": "x" * 50_000}}, queue="small")
    await running.settled("small", "done", 20)
    assert running.messages("large", "done") == 0
    halo.faults.remove(held.number)
    await running.settled("large", "done", 8)


async def test_what_waits_for_memory_when_the_worker_stops_goes_back_and_is_not_in_doubt(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(**WIDE)})
    running = await start(job, definition)
    held = halo.fault(Fault(FaultKind.HOLD, method="POST", path="/Asset", times=None))
    for number in range(8):
        await job.other.send(asset(number, MEBIBYTE + MEBIBYTE // 4))
    await running.until(lambda: running.value("memory_waiting", kind="bodies") > 0)
    running.service.stop.set()
    halo.faults.remove(held.number)
    await running.stop()
    again = await start(job, definition)
    await again.until(lambda: len(created(halo)) == 8)
    assert set(created(halo).values()) == {1}
    assert await job.other.drain("assets.dead") == []


async def test_a_message_larger_than_all_that_may_be_in_flight_has_its_turn_alone(job, halos):
    halo = await halos()
    running = await start(job, routes(halo, publishers={"erp": publisher(**WIDE)}), max_message=8 * MEBIBYTE)
    for number in range(3):
        await job.other.send(asset(number, 6 * MEBIBYTE))
        await job.other.send(asset(10 + number, 20))
    await running.settled("erp", "done", 6)
    assert set(created(halo).values()) == {1}


async def test_lost_connections_lose_no_message_and_leave_no_memory_taken(memory_job, halos):
    halo = await halos(create_seconds=0.02)
    find = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
    running = await start(memory_job, routes(halo, publishers={"erp": publisher(**WIDE, find=find)}, timeout="1s"))
    for number in range(12):
        await memory_job.other.send(asset(number, MEBIBYTE + MEBIBYTE // 4))
    assert memory_job.server is not None
    for done in (1, 4, 7):
        await running.until(lambda done=done: len(created(halo)) >= done)
        for attached in list(memory_job.server.attached):
            if attached.name.startswith("halo-worker"):
                attached.lose("the connection was cut")
    await running.until(lambda: len(created(halo)) == 12)
    await running.until(lambda: used(running) == used(running, "work") == 0)
    assert set(created(halo).values()) == {1}
    assert await memory_job.other.drain("assets.dead") == []
