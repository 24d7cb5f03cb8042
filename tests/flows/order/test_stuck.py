"""A key that is stuck holds up nobody else, and comes to its turn in its own order."""

from __future__ import annotations

import pytest

from tests.flows.order.conftest import Stuck, applied, ordered, send_steps
from tests.tools.job import routes
from worker.sandbox.faults import Fault, FaultKind

STUCK = 9
MANY = 400  # they follow one after the other, and RabbitMQ writes each to the disk several times


async def test_many_messages_behind_a_stuck_key_let_all_others_through_and_follow_in_order(job, halos):
    await stuck_behind(MANY, job, await halos())


@pytest.mark.long
async def test_very_many_messages_behind_a_stuck_key_let_all_others_through_and_follow_in_order(memory_job, halos):
    await stuck_behind(5 * MANY, memory_job, await halos())


async def stuck_behind(many, job, halo):
    stuck = Stuck(halo, STUCK)
    running = await job.start(routes(halo, publishers={"erp": ordered(concurrency=4, retry=["700ms"] * 4 + ["3s"] * 16)}))
    await send_steps(job, [STUCK], range(many))
    await send_steps(job, [1, 2, 3], range(20))
    await running.settled("erp", "done", 60)
    assert applied(halo) == {key: list(range(20)) for key in (1, 2, 3)}
    await running.until(lambda: running.value("ordered_waiting", route="erp") == many)
    assert running.value("keys_held_up", route="erp") == 1
    assert await job.other.depth("assets") == 0
    assert stuck.refused > 1
    stuck.free = True
    await running.settled("erp", "done", many + 60)
    assert applied(halo)[STUCK] == list(range(many))
    await running.until(lambda: running.value("ordered_waiting", route="erp") == 0)
    await running.stop()


async def test_a_message_that_is_buried_does_not_hold_its_key(job, halos):
    halo = await halos()
    fault = halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=400))
    running = await job.start(routes(halo, publishers={"erp": ordered()}))
    await send_steps(job, [1], range(3))
    await running.settled("erp", "done", 2)
    assert fault.struck == 1
    assert applied(halo) == {1: [1, 2]}
    letter = await job.other.take("assets.dead")
    assert letter.body == {"id": 1, "step": 0}
    assert letter.headers["dead-class"] == "rejected"
    assert not [name for name in letter.headers if name.startswith("halo-order")]


async def test_what_has_no_key_is_buried_with_the_reason_and_stops_nothing(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": ordered(order_by="{{ $number(id) }}")}))
    await job.other.send(b"{not json")
    await job.other.send({"step": 1})
    await job.other.send({"id": "x", "step": 1})
    await send_steps(job, [1, 2], range(3))
    await running.settled("erp", "done", 6)
    letters = await job.other.take_all("assets.dead", 3)
    assert sorted(letter.headers["dead-class"] for letter in letters) == ["decode", "transform", "transform"]
    nothing = next(letter for letter in letters if letter.body == {"step": 1})
    assert nothing.headers["dead-reason"] == "`order_by` yields nothing for this message: it cannot be kept in order"
    assert applied(halo) == {1: [0, 1, 2], 2: [0, 1, 2]}


async def test_what_when_leaves_out_is_skipped_although_it_has_no_key_and_what_when_takes_is_buried(memory_job, halos):
    halo = await halos()
    for name, keys in {"order": {"order_by": "{{ $number(id) }}"}, "turns": {"order_by": None, "fair_by": "{{ $number(id) }}"}}.items():
        route = ordered(queue=name, when="{{ kind != 'test' }}", **keys)
        running = await memory_job.start(routes(halo, publishers={name: {key: value for key, value in route.items() if value is not None}}))
        await memory_job.other.send({"id": "x", "kind": "test"}, name)
        await memory_job.other.send({"id": "x", "kind": "real"}, name)
        await memory_job.other.send({"id": 1, "step": 0, "kind": "real"}, name)
        await running.settled(name, "done", 1)
        await running.settled(name, "skipped", 1)
        letter = await memory_job.other.take(f"{name}.dead")
        assert (letter.body["kind"], letter.headers["dead-class"]) == ("real", "transform")
        await running.stop()
