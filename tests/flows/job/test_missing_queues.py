"""Queues and exchanges that somebody deletes under the worker: they are there again, and nothing that was in hand is lost."""

from __future__ import annotations

from tests.tools.job import EVENTS, listening, publisher, routes, subscriber
from tests.tools.sizes import ON_BOTH_BROKERS
from worker.core.topology import AmqpExchange, Topology, browsable_queue
from worker.sandbox.faults import Fault, FaultKind

pytestmark = ON_BOTH_BROKERS


async def delete(job, *queues, exchanges=()):
    await job.other.broker.delete(Topology(tuple(AmqpExchange(name) for name in exchanges), tuple(browsable_queue(name) for name in queues)))


async def test_a_dead_queue_that_was_deleted_is_made_again_for_the_letter_that_needs_it(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(concurrency=1)}))
    await delete(job, "assets.dead")
    await job.other.send(b"not json")
    await job.other.send({"payload": {"inventory_number": "SN-1"}})
    await running.settled("erp", "dead_decode")
    await running.settled("erp", "done")
    assert (await job.other.take("assets.dead")).message.body == b"not json"


async def test_a_retry_queue_that_was_deleted_is_made_again_for_the_message_that_needs_it(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=503))
    running = await job.start(routes(halo, publishers={"erp": publisher()}))
    await delete(job, "halo.retry.50ms")
    await job.other.send({"payload": {"id": 5, "inventory_number": "SN-5"}})
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 1


async def test_an_exchange_of_events_that_was_deleted_is_made_again_and_no_event_is_lost(job, halos):
    halo = await halos(tickets=5)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber()}))
    await job.other.take_all(EVENTS, 5)
    await delete(job, exchanges=["halo"])
    halo.store.update("tickets", 3, {"summary": "without an exchange"})
    await running.polled("tickets", 2)
    assert (await job.other.take(EVENTS)).body["summary"] == "without an exchange"
    await running.ready()


async def test_the_queue_of_a_subscriber_that_was_deleted_is_made_again(job, halos):
    halo = await halos(tickets=5)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber(unrouted="stop")}))
    await job.other.take_all(EVENTS, 5)
    await delete(job, EVENTS)
    halo.store.update("tickets", 3, {"summary": "without a queue"})
    await running.until(lambda: running.polls("tickets", "failed") >= 1)
    assert (await job.other.take(EVENTS)).body["summary"] == "without a queue"


async def test_the_parking_place_of_failed_records_is_made_again(job, halos):
    halo = await halos(tickets=2)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber(transform={"n": "{{ $number(summary) }}"})}))
    await running.until(lambda: running.value("parked_records_total", route="tickets") == 2)
    await delete(job, "halo.dead.tickets")
    halo.store.update("tickets", 1, {"summary": "still no number"})
    assert (await job.other.take("halo.dead.tickets")).headers["record"] == "1"


async def test_an_exchange_that_comes_back_without_its_bindings_lets_no_event_vanish(job, halos):
    halo = await halos(tickets=2)
    async with listening(job.other.broker, "elsewhere"):
        await job.start(routes(halo, subscribers={"tickets": subscriber(queue=None)}))
        await delete(job, exchanges=["halo"])
        halo.store.update("tickets", 1, {"summary": "to whom?"})
        letter = await job.other.take("halo.unrouted")
        assert letter.headers["original-exchange"] == "halo"
