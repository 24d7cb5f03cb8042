"""Retry queues that all routes share, in a whole worker: who waits for whom, and what an older worker left in queues of its own."""

from __future__ import annotations

from uuid import uuid4

import orjson

from tests.tools.job import publisher, routes
from worker.core.delivery_state import DeliveryState
from worker.core.message import Message
from worker.core.topology import BROWSED_LIMIT, Topology, dead_lettering_queue, work_topology
from worker.flows.consuming.returning import for_return
from worker.sandbox.faults import Fault, FaultKind


def asset(number):
    return {"payload": {"id": number, "inventory_number": f"SN-{number}"}}


async def a_copy(job, document, home, **state):
    """A message as a worker puts it into a retry queue of its own."""
    codec = await job.other.codec()
    return codec.copy(Message(orjson.dumps(document)), home, DeliveryState(uuid4().hex, "c", "", home, reason="it failed", **state))


async def test_copies_of_a_route_that_is_gone_stop_no_other_route_and_readiness_names_their_queue(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=503))
    running = await job.start(routes(halo, publishers={"erp": publisher()}))
    for number in range(40):
        await job.other.broker.publish(for_return(await a_copy(job, asset(number), "removed"), "removed"), routing_key="halo.retry.50ms")
    await job.other.send(asset(5))
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 1
    await running.until(lambda: not running.service.health.ready)
    part = running.service.health.parts["retries"]
    assert "'removed'" in part.detail
    assert "start its route, or create the queue" in part.detail
    await job.other.settles("halo.retry.1m", 40)


async def test_a_copy_in_the_retry_queue_of_an_older_worker_returns_and_counts_on(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=503))
    older = dead_lettering_queue("assets.retry.700ms", "assets", BROWSED_LIMIT, **{"x-message-ttl": 700})
    await job.other.broker.declare(work_topology("assets", [0.05]) + Topology(queues=(older,)))
    await job.other.broker.publish(await a_copy(job, asset(5), "assets", attempts=1), routing_key=older.name)
    await job.start(routes(halo, publishers={"erp": publisher(retry=["50ms", "100ms"])}))
    letter = await job.other.take("assets.dead")
    assert (letter.headers["dead-class"], letter.headers["dead-attempts"]) == ("retries_exhausted", 3)
    assert len(halo.journal.received("POST", "/Asset")) == 2
    assert await job.other.broker.queue_exists(older.name), "the broker cannot tell whether it is empty: its operator deletes it"


async def test_a_queue_that_the_worker_takes_as_it_is_shares_the_retry_queues(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=503))
    await job.other.declare_as("assets", {"x-queue-type": "quorum", "x-max-length": 10, "x-overflow": "reject-publish"})
    running = await job.start(routes(halo, publishers={"erp": publisher(declare=False)}))
    await job.other.send(asset(5))
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 1
