"""What a sender sends twice is sent to Halo once, on a route that says by what it can be told."""

from __future__ import annotations

from tests.tools.job import publisher, routes
from worker.core.clock import SystemClock
from worker.core.json_codec import encode
from worker.flows.dead.edit import EditLetter
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import Replay
from worker.flows.dead.replay import ReplayToQueue
from worker.sandbox.faults import Fault, FaultKind

ONCE = publisher(once="{{ $headers.`order-id` }}", transform={"payload": {"inventory_number": "{{ serial }}"}})


async def send(job, serial, order, **more):
    return await job.other.send({"serial": serial}, headers={"order-id": order}, **more)


def serials(halo):
    return sorted(row["inventory_number"] for row in halo.store.rows("asset") if str(row.get("inventory_number")).startswith("SN-"))


async def test_of_messages_with_the_same_key_one_is_sent_and_the_others_count_as_skipped(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": ONCE}))
    for number in range(3):
        await send(job, f"SN-{number}", "A")
    await send(job, "SN-9", "B")
    await running.settled("erp", "done", 2)
    await running.settled("erp", "skipped", 2)
    assert len(serials(halo)) == 2
    assert serials(halo)[1] == "SN-9"
    assert await job.other.depth("assets.dead") == 0


async def test_two_workers_agree_on_which_one_that_is(job, halos):
    halo = await halos()
    first = await job.start(routes(halo, publishers={"erp": ONCE}))
    second = await job.start(routes(halo, publishers={"erp": ONCE}))
    for number in range(20):
        await send(job, f"SN-{number % 5}", f"order-{number % 5}")
    await first.until(lambda: sum(each.messages("erp", "skipped") for each in (first, second)) == 15)
    await first.until(lambda: sum(each.messages("erp", "done") for each in (first, second)) == 5)
    assert serials(halo) == [f"SN-{number}" for number in range(5)]


async def test_a_copy_that_comes_while_the_first_one_waits_for_its_retry_is_left_out(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Asset", status=500))
    find = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}, "use": "always"}
    running = await job.start(routes(halo, publishers={"erp": ONCE | {"find": find, "retry": ["1s"]}}))
    await send(job, "SN-1", "A")
    await running.settled("erp", "retried")
    await send(job, "SN-2", "A")
    await running.settled("erp", "skipped")
    await running.settled("erp", "done")
    assert serials(halo) == ["SN-1"]


async def test_after_the_first_was_buried_the_next_is_sent_and_the_letter_replayed_is_the_copy(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=400))
    running = await job.start(routes(halo, publishers={"erp": ONCE}))
    await send(job, "SN-1", "A")
    letter = await job.other.take("assets.dead")
    await send(job, "SN-2", "A")
    await running.settled("erp", "done")
    await job.other.broker.publish(letter.message, routing_key="assets")
    await running.settled("erp", "skipped")
    assert serials(halo) == ["SN-2"]


async def test_a_message_without_the_key_is_buried_with_a_sentence(memory_job, halos):
    halo = await halos()
    await memory_job.start(routes(halo, publishers={"erp": ONCE}))
    await memory_job.other.send({"serial": "SN-1"})
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "transform"
    assert "`once` yields nothing" in letter.headers["dead-reason"]
    assert serials(halo) == []


async def test_a_letter_that_was_edited_to_a_key_that_is_taken_is_the_copy_whichever_holder_of_its_own_key_it_was(job, halos):
    """Its headers tell which holder it was; of another key that says nothing."""
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=400, times=2))
    by_order = ONCE | {"once": "{{ order }}"}
    running = await job.start(routes(halo, publishers={"erp": by_order}))
    for number in (1, 2):  # holders 0 and 1 of the key A
        await job.other.send({"serial": f"SN-{number}", "order": "A"}, message_id=f"m{number}")
        await running.settled("erp", "dead_rejected", number)
    await job.other.send({"serial": "SN-3", "order": "B"})
    await running.settled("erp", "done")
    await job.other.take("assets.dead")
    second, codec, clock = (await job.other.take("assets.dead")).message, await job.other.codec(), SystemClock()
    box = DeadQueue("erp", "publisher", "assets.dead", "assets")
    letter = letter_of(box, second, codec)
    assert letter.state.holder == 1
    for order in ("A", "B"):
        edited = EditLetter(box, encode({"serial": "SN-4", "order": order}), job.other.broker, codec, clock).edited(letter, second)
        await ReplayToQueue(box, "assets", lambda *_: Replay(), job.other.broker, codec)(letter_of(box, edited, codec), edited)
    await running.settled("erp", "skipped")
    await running.settled("erp", "done", 2)
    assert serials(halo) == ["SN-3", "SN-4"]
