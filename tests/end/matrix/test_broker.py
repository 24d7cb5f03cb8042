"""The broker itself has trouble: its queues are full, or it lets nobody publish. Rows 8, 9 and 10."""

from __future__ import annotations

import asyncio

import pytest

from tests.end.matrix.conftest import creating
from tests.tools.sizes import first
from tests.tools.waiting import SOON
from worker.core.errors import PublishRefused
from worker.core.topology import AmqpExchange, Binding, Queue, Topology

FULL = {"x-queue-type": "quorum", "x-max-length": 3, "x-overflow": "reject-publish"}
WATCHED = 3.0  # seconds in which calls are counted
POLLS = 5  # a second, as the route says: trouble does not make it ask faster


async def test_a_queue_that_is_full_holds_the_poll_back_until_somebody_reads_it(case, stage):
    """Row 8: a slow reader of events; nothing is lost, and Halo is not asked over and over."""
    slow = Topology((AmqpExchange("halo"),), (Queue("slow.reader", FULL),), (Binding("halo", "#", "slow.reader"),))
    await case.other.broker.declare(slow)
    with pytest.raises(PublishRefused):
        await overfilled(case.other, "slow.reader")
    worker = await stage.start(creating(case.halo, watching=True), **case.quick)
    told = await worker.logged("poll.ended", level="warning")
    loop = asyncio.get_running_loop()
    before, began = len(case.halo.journal.received("GET", "/Tickets")), loop.time()
    await asyncio.sleep(WATCHED)
    calls, allowed = len(case.halo.journal.received("GET", "/Tickets")) - before, (loop.time() - began) * POLLS + 2
    detail = (await worker.parts())["subscriber tickets"]["detail"]
    ids = set()
    async with asyncio.timeout(SOON):
        while not ids >= set(range(1, 21)):
            ids |= {letter.body["id"] for letter in await case.other.drain("slow.reader")}
            await asyncio.sleep(0.05)
    await case.judged(worker, named="refuses events" in told["reason"], readiness_says_so="refuses events" in detail, few_calls=calls <= allowed)


async def overfilled(other, queue):
    """The broker takes some more than it should."""
    for _ in range(50):
        await other.send({"id": 0}, queue)


ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "absolute", "2GB")),
    "disk": (("set_disk_free_limit", "9999GB"), ("set_disk_free_limit", "50MB")),
}


@pytest.mark.parametrize("alarm", first(1, ALARMS))
async def test_an_alarm_of_the_broker_pauses_publishing_and_costs_nothing(case, stage, rabbitmq, alarm):
    """Rows 9 and 10."""
    begin, end = ALARMS[alarm]
    await case.listen()
    worker = await stage.start(creating(case.halo, watching=True, client={"timeout": "1s"}), **case.quick)
    await case.done()
    case.halo.settings = type(case.halo.settings)(**(vars(case.halo.settings) | {"create_seconds": 0.3}))
    await case.create(12)
    try:
        await asyncio.to_thread(rabbitmq.ctl, *begin)
        for number in range(1, 6):
            case.halo.store.update("tickets", number, {"summary": f"during the alarm {number}"})
        await worker.unready()
        parts = await worker.parts()
        alive, _ = await worker.get("/livez")
        await asyncio.sleep(1)
    finally:
        await asyncio.to_thread(rabbitmq.ctl, *end)
    await worker.ready()
    await case.done()
    await case.judged(worker, named=alarm in parts["broker"]["detail"] or not parts["broker"]["ok"], alive=alive == 200)
