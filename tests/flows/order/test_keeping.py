"""What keeps the order when the worker, the broker's channel or Halo comes and goes, and when others meddle with its queues."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from structlog.testing import capture_logs

from tests.flows.order.conftest import Stuck, applied, lose_connections, ordered, send_steps
from tests.tools.job import routes
from tests.tools.waiting import until
from worker.core.message import Message
from worker.core.topology import WORK_LIMIT
from worker.flows.ordered import waiting_queue as ordered_room
from worker.sandbox.faults import Fault, FaultKind

STUCK = 9


async def test_a_worker_that_starts_over_finds_the_room_full_and_goes_on_in_order(job, halos):
    halo = await halos()
    stuck = Stuck(halo, STUCK)
    definition = routes(halo, publishers={"erp": ordered(retry=["400ms"] * 20)})
    running = await job.start(definition)
    await send_steps(job, [STUCK], range(50))
    await send_steps(job, [1], range(5))
    await running.until(lambda: running.messages("erp", "done") == 5 and running.value("ordered_waiting", route="erp") == 50)
    await running.stop()
    await job.other.settles("assets.order", 50)
    await send_steps(job, [STUCK], range(50, 55))
    stuck.free = True
    again = await job.start(definition)
    await again.settled("erp", "done", 55)
    assert applied(halo) == {STUCK: list(range(55)), 1: list(range(5))}
    await again.stop()
    assert await job.other.depth("assets.order") == await job.other.depth("assets.dead") == 0


async def test_while_halo_is_down_the_order_waits_and_no_attempt_is_counted(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": ordered(retry=[], concurrency=3)}))
    outage = halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503))
    await send_steps(job, [1, 2, 3], range(10))
    await running.until(lambda: not running.service.health.ready and running.value("consuming", route="erp") == 0)
    halo.faults.remove(outage.number)
    await running.settled("erp", "done", 30)
    assert applied(halo) == {key: list(range(10)) for key in (1, 2, 3)}
    assert await job.other.depth("assets.dead") == 0
    await running.ready()


async def test_a_connection_that_is_cut_again_and_again_costs_no_order(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.01))
    running = await job.start(routes(halo, publishers={"erp": ordered(concurrency=3)}, timeout="1s"))  # an attempt that may have been claimed is waited for
    for cut in range(3):
        await send_steps(job, [1, 2, 3, 4], range(cut * 15, cut * 15 + 15))
        await running.settled("erp", "done", cut * 40 + 10)
        await lose_connections(job, running)
    await running.until(lambda: all(applied(halo).get(key, [0])[-1] == 44 for key in (1, 2, 3, 4)))
    assert applied(halo) == {key: list(range(45)) for key in (1, 2, 3, 4)}
    repeated = running.messages("erp", "retried")  # after more than a second without an answer: a machine that stood still
    assert 0 <= len(halo.journal.executed("POST", "/Asset")) - 180 <= repeated, "what ran when its channel died is not done again"
    await running.until(lambda: running.value("ordered_waiting", route="erp") == 0)
    assert await job.other.depth("assets.dead") == 0
    await running.stop()


async def test_what_waits_for_long_is_taken_out_and_put_in_again_and_stays_in_its_place(job, halos, monkeypatch):
    monkeypatch.setattr(ordered_room, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(ordered_room, "LONGEST_IN_HAND", 0.1)
    halo = await halos()
    stuck = Stuck(halo, STUCK)
    published = []
    monkeypatch.setattr(ordered_room, "moved_on", lambda *given: published.append(given) or moved_on(*given))
    running = await job.start(routes(halo, publishers={"erp": ordered(retry=["100ms"] * 20)}))
    await send_steps(job, [STUCK], range(20))
    await running.until(lambda: len(published) >= 60)
    stuck.free = True
    await running.settled("erp", "done", 20)
    assert applied(halo) == {STUCK: list(range(20))}
    assert len(halo.journal.executed("POST", "/Asset")) == 20
    await running.stop()
    assert await job.other.depth("assets.order") == 0


moved_on = ordered_room.moved_on


async def test_as_long_as_somebody_else_takes_from_the_queue_nothing_is_applied(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered()})
    first = await job.start(definition)
    await first.stop()
    async with job.other.broker.channel(prefetch=1) as channel:
        held = asyncio.Queue()
        await channel.consume("assets", held.put_nowait)
        running = await job.start(definition)
        await running.until(lambda: running.service.health.parts["publisher erp"].detail == "taking over")
        await send_steps(job, [1], range(2))
        await held.get()
        assert applied(halo) == {}
    await running.settled("erp", "done", 2)
    assert applied(halo) == {1: [0, 1]}


async def test_of_two_workers_one_applies_and_the_other_stands_by_ready(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered()})
    first = await job.start(definition)
    await first.until(lambda: first.value("consuming", route="erp") == 1)
    second = await job.start(definition)
    assert first.service.health.parts["publisher erp"].detail == "consuming, in order by key"
    await second.until(lambda: second.service.health.parts["publisher erp"].detail == "standing by: another replica applies this route in order")
    assert second.service.health.ready
    assert (first.value("consuming", route="erp"), second.value("consuming", route="erp")) == (1, 0)
    await first.stop()
    await second.until(lambda: second.value("consuming", route="erp") == 1)
    await send_steps(job, [1], range(2))
    await second.settled("erp", "done", 2)


async def test_what_was_moved_last_and_comes_from_the_queue_again_is_not_moved_twice(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered()})
    await (await job.start(definition)).stop()
    body = orjson.dumps({"id": 1, "step": 0})
    await job.other.send(body, message_id="m1")
    async with job.other.broker.channel() as channel:  # a mover that died between confirm and ack
        assert await channel.get("assets") is not None
    await job.other.put_into_room({"id": 1, "step": 0}, 5, message_id="m1")
    await job.other.send({"id": 1, "step": 1})
    running = await job.start(definition)
    await running.settled("erp", "done", 2)
    await job.other.settles("assets.order")
    assert len(halo.journal.executed("POST", "/Asset")) == 2
    assert applied(halo) == {1: [0, 1]}


async def test_nothing_begins_before_all_that_waits_is_known(job, halos):
    """A message that was tried before stands at the end of the room, with its old place in the order."""
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered(when="{{ id < 100 }}")})
    await (await job.start(definition)).stop()
    await job.other.put_into_room({"id": 1, "step": 1}, 7)
    await asyncio.gather(*(job.other.put_into_room({"id": 100 + number}, 8 + number) for number in range(2500)))
    await job.other.put_into_room({"id": 1, "step": 0}, 6, attempts=1)
    running = await job.start(definition)
    await running.settled("erp", "done", 2)
    assert applied(halo) == {1: [0, 1]}
    await running.settled("erp", "skipped", 2500)


async def test_what_somebody_put_into_the_room_goes_through_the_queue_as_all_others_do(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": ordered()}))
    await job.other.send({"id": 1, "step": 0}, "assets.order")
    await running.settled("erp", "done", 1)
    assert applied(halo) == {1: [0]}
    await job.other.settles("assets.order")


async def test_a_message_that_was_started_too_often_without_an_end_is_buried_as_crashed(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered()})
    await (await job.start(definition)).stop()
    await job.other.put_into_room({"id": 1, "step": 0}, 5, message_id="m1", starts=WORK_LIMIT + 1)
    await job.other.send({"id": 1, "step": 1})
    running = await job.start(definition)
    await running.settled("erp", "done", 1)
    assert applied(halo) == {1: [1]}
    letter = await job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "crashed"
    assert letter.headers["dead-reason"] == "started 21 times and never ended"


@pytest.mark.parametrize("named", [True, False])
async def test_a_create_that_may_have_been_moved_before_is_made_once_or_parked(memory_job, halos, named):
    halo = await halos()
    definition = routes(halo, publishers={"erp": ordered(transform={"payload": {"inventory_number": "{{ id }}"}})})
    await (await memory_job.start(definition)).stop()
    memory_job.server.publish(Message(b'{"id": "SN-1"}', message_id="m1" if named else ""), "", "assets")
    async with memory_job.other.broker.channel() as channel:
        assert await channel.get("assets") is not None
    running = await memory_job.start(definition)
    if named:  # nobody has claimed it: it was never sent
        await running.settled("erp", "done", 1)
        assert len(halo.journal.created("/Asset")) == 1
    else:  # an earlier copy of it has another id, and nobody can tell
        assert (await memory_job.other.take("assets.dead")).headers["dead-class"] == "in_doubt"
        assert halo.journal.created("/Asset") == []


async def test_messages_are_told_apart_by_their_place_and_not_by_an_id_that_a_sender_uses_again(job, halos):
    halo = await halos()
    stuck = Stuck(halo, 1)
    running = await job.start(routes(halo, publishers={"erp": ordered(retry=["50ms"] * 20)}))
    for step in (7, 8, 7):
        await job.other.send({"id": 1, "step": step}, message_id="one")
    await running.until(lambda: running.value("ordered_waiting", route="erp") == 3)
    stuck.free = True
    await running.settled("erp", "done", 3)
    assert applied(halo) == {1: [7, 8, 7]}


async def test_messages_from_an_exchange_keep_where_they_came_from(job, halos):
    halo = await halos()
    definition = ordered(bind=[{"exchange": "erp", "routing_key": "asset.#"}], when="{{ $message.routing_key = 'asset.new' }}")
    fault = halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=400))
    running = await job.start(routes(halo, publishers={"erp": definition}))
    await job.other.send({"id": 1, "step": 0}, "asset.new", "erp")
    letter = await job.other.take("assets.dead")
    assert fault.struck == 1
    assert (letter.headers["original-exchange"], letter.headers["original-routing-key"]) == ("erp", "asset.new")
    await running.stop()


async def test_a_sender_s_own_stamp_counts_for_nothing(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": ordered()}))
    far = {"halo-order": 2**52, "halo-order-due": 2**50, "halo-order-starts": 99, "halo-order-marker": "x"}
    await job.other.send({"id": 1, "step": 0}, headers=far)
    await job.other.send({"id": 1, "step": 1})
    await running.settled("erp", "done", 2)
    assert applied(halo) == {1: [0, 1]}


async def test_a_route_that_no_longer_keeps_an_order_tells_what_it_left_waiting(job, halos):
    halo = await halos()
    Stuck(halo, STUCK)
    running = await job.start(routes(halo, publishers={"erp": ordered(retry=["1h"])}))
    await send_steps(job, [STUCK], range(3))
    await running.until(lambda: running.value("keys_held_up", route="erp") == 1)
    await running.stop()
    await job.other.settles("assets.order", 3)
    with capture_logs() as lines:
        running = await job.start(routes(halo, publishers={"erp": ordered(order_by=None)}))
        await running.until(lambda: any(line["event"] == "order.left_behind" for line in lines))
    told = next(line for line in lines if line["event"] == "order.left_behind")
    assert (told["route"], told["waiting"]) == ("erp", 3)


async def test_the_consumers_of_a_queue_are_counted(job):
    await job.other.declare("counted")
    broker = job.other.broker
    assert await broker.consumers("counted") == await broker.consumers("missing") == 0
    async with broker.channel(prefetch=1) as channel:
        await channel.consume("counted", lambda _: None)
        tag = await channel.consume("counted", lambda _: None)
        assert await broker.consumers("counted") == 2
        await channel.cancel(tag)
        assert await broker.consumers("counted") == 1

    async def gone() -> bool:
        return await broker.consumers("counted") == 0

    await until(gone)  # the queue hears of a closed channel a little later than we do
