"""The sender of a message is told what became of it: at the route's own target, and where it asked for it."""

from __future__ import annotations

import pytest

from tests.tools.job import publisher, routes
from tests.tools.sizes import ON_BOTH_BROKERS
from worker.core.topology import AmqpExchange, Topology
from worker.sandbox.faults import Fault, FaultKind

RESULT = {"exchange": "halo", "routing_key": "results.assets", "queue": "answers"}
ASSET = {"payload": {"inventory_number": "SN-1"}}


async def started(job, halos, **more):
    halo = await halos()
    return halo, await job.start(routes(halo, publishers={"erp": publisher(**more)}))


@ON_BOTH_BROKERS
async def test_the_result_of_a_create_has_halos_id_and_the_senders_correlation_id(job, halos):
    halo, _ = await started(job, halos, result=RESULT)
    sent = await job.other.send(ASSET, correlation_id="order-7")
    answer = await job.other.take("answers")
    [created] = [row["id"] for row in halo.store.rows("asset") if row.get("inventory_number") == "SN-1"]
    assert answer.body == {"outcome": "done", "route": "erp", "message_id": sent, "id": created, "status": 201}
    assert (answer.message.correlation_id, answer.message.content_type, answer.message.type) == ("order-7", "application/json", "com.haloitsm.result")


@ON_BOTH_BROKERS
async def test_a_reply_goes_to_the_queue_that_the_sender_names(job, halos):
    await started(job, halos)
    await job.other.declare("replies.erp")
    sent = await job.other.send(ASSET, reply_to="replies.erp")
    answer = await job.other.take("replies.erp")
    assert (answer.body["outcome"], answer.body["message_id"]) == ("done", sent)
    assert answer.message.correlation_id == sent


async def test_a_dead_letter_is_told_with_its_class_and_reason_and_no_retry_is(job, halos):
    halo, running = await started(job, halos, result=RESULT, when="{{ $exists(payload) }}", in_doubt="repeat")
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=3, status=500))
    await job.other.send(ASSET)
    dead = (await job.other.take("answers")).body
    assert (dead["outcome"], dead["class"], dead["status"]) == ("dead", "retries_exhausted", 500)
    assert "500" in dead["reason"]
    assert running.messages("erp", "retried") == 2
    await job.other.send({"nothing": 1})
    assert (await job.other.take("answers")).body["outcome"] == "skipped"


async def test_an_ordered_route_answers_too(job, halos):
    await started(job, halos, result=RESULT, order_by="{{ payload.inventory_number }}")
    sent = await job.other.send(ASSET)
    assert (await job.other.take("answers")).body["message_id"] == sent


async def test_the_dead_letter_is_there_before_its_result(job, halos):
    await started(job, halos, result=RESULT)
    for number in range(20):
        await job.other.send(b"no json", message_id=f"m{number}")
    for number in range(20):
        await job.other.take("answers")
        assert await job.other.depth("assets.dead") > number


@ON_BOTH_BROKERS
async def test_a_reply_queue_that_is_gone_is_told_and_holds_up_nothing(job, halos):
    _, running = await started(job, halos)
    for number in range(5):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}}, reply_to="replies.gone")
    await running.settled("erp", "done", 5)
    assert running.value("results_total", route="erp", result="unrouted") == 5
    assert await job.other.depth("assets") == await job.other.depth("assets.dead") == 0


@ON_BOTH_BROKERS
async def test_an_exchange_for_results_that_was_deleted_is_declared_again(job, halos):
    _, running = await started(job, halos, result=RESULT | {"exchange": "answers-exchange"})
    await job.other.broker.delete(Topology((AmqpExchange("answers-exchange"),)))
    await job.other.send(ASSET)
    assert (await job.other.take("answers")).body["outcome"] == "done"
    await running.settled("erp", "done")


@pytest.mark.parametrize("address", ["halo.state.tickets", "assets.dead", "victim"])
async def test_an_address_that_a_sender_may_not_name_gets_nothing_and_its_message_is_done(memory_job, halos, address):
    _, running = await started(memory_job, halos)
    await memory_job.other.declare("victim")
    await memory_job.other.send(ASSET, reply_to=address)
    await running.settled("erp", "done")
    assert running.value("results_total", route="erp", result="refused") == 1
    assert await memory_job.other.depth("victim") == await memory_job.other.depth("assets.dead") == 0


async def test_the_same_message_put_back_has_the_same_result_id_so_that_a_repeat_can_be_dropped(memory_job, halos):
    halo, _ = await started(memory_job, halos, result=RESULT, retry=[])
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=400))
    await memory_job.other.send(ASSET)
    first = await memory_job.other.take("answers")
    assert first.body["outcome"] == "dead"
    letter = await memory_job.other.take("assets.dead")
    await memory_job.other.broker.publish(letter.message, routing_key="assets")
    second = await memory_job.other.take("answers")
    assert (second.body["outcome"], second.message.message_id) == ("done", first.message.message_id)
