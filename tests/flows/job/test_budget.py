"""The request limit of a tenant as replicas share it: the whole worker, on both brokers."""

from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from tests.tools.job import publisher, routes, subscriber
from tests.tools.process import write_routes
from worker.app import Service
from worker.config.loader import load_routes
from worker.core.errors import TopologyMismatch
from worker.core.permit_topology import issuer_marker, pause_queue, permits_queue
from worker.sandbox.faults import Fault, FaultKind
from worker.settings import Settings

LIMIT = "600/20s"


def tenant(halo):
    return URL(halo.url).host


async def assets(job, *numbers):
    for number in numbers:
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})


async def test_each_request_takes_a_permit_and_readiness_does_not_ask_who_makes_them(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher()}, rate_limit=LIMIT))
    assert running.value("minting", client="main") == 0, "nobody has asked for a permit"
    await assets(job, *range(5))
    await running.settled("erp", "done", 5)
    assert running.value("permits_taken_total", client="main") >= 5
    assert running.value("permits_minted_total", client="main") >= running.value("permits_taken_total", client="main")
    assert running.value("minting", client="main") == 1
    assert running.value("budget_used", client="main") >= 5
    assert running.service.health.ready


async def test_polls_and_their_pages_take_permits_too(job, halos):
    halo = await halos(tickets=250)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber()}, rate_limit=LIMIT))
    await running.polled("tickets", 1, "complete")
    assert running.value("permits_taken_total", client="main") >= len(halo.journal.received("GET", "/Tickets")) >= 3


async def test_without_a_limit_there_are_no_permits(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher()}))
    await assets(job, 1)
    await running.settled("erp", "done")
    assert running.service.metrics.registry.get_sample_value("halo_worker_permits_taken_total", {"client": "main"}) is None
    assert await job.other.broker.queue_depth(permits_queue(tenant(halo))) is None


async def test_a_second_worker_takes_what_the_first_one_makes(job, halos):
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(concurrency=1)}, rate_limit=LIMIT)
    first = await job.start(definition)
    await assets(job, 1)
    await first.settled("erp", "done")
    second = await job.start(definition)
    await assets(job, *range(2, 40))
    await second.settled("erp", "done")
    await first.until(lambda: first.messages("erp", "done") + second.messages("erp", "done") == 39)
    assert (first.value("minting", client="main"), second.value("minting", client="main")) == (1, 0)
    assert second.value("permits_taken_total", client="main") >= second.messages("erp", "done")


async def test_a_429_holds_up_the_next_attempt_for_as_long_as_it_says(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=429, headers=(("Retry-After", "2"),)))
    running = await job.start(routes(halo, publishers={"erp": publisher()}, rate_limit=LIMIT))
    await assets(job, 1)
    await running.settled("erp", "done")
    first, second = halo.journal.received("POST", "/Asset")
    assert (second.time - first.time).total_seconds() >= 1.9


@pytest.mark.parametrize("queue", [permits_queue, issuer_marker, pause_queue])
async def test_queues_of_other_properties_are_told_at_the_start(job, halos, queue):
    halo = await halos()
    await job.other.declare_as(queue(tenant(halo)), {"x-queue-type": "classic"})
    directory = write_routes(job.folder, routes(halo, publishers={"erp": publisher()}, rate_limit=LIMIT))
    service = Service(Settings(amqp_url=job.url, routes=directory), load_routes(directory, {}, job.folder), asyncio.Event(), memory=job.server)
    with pytest.raises(TopologyMismatch, match=queue(tenant(halo))):
        await service.run()
