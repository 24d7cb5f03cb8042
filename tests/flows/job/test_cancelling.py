"""A worker that stops taking messages, to end or since Halo is down, leaves those that it never started as they were: nobody may take them for doubtful."""

from __future__ import annotations

import pytest

from tests.tools.job import publisher, routes
from worker.sandbox.faults import Fault, FaultKind

MANY = 120


async def looked_at(job, queue):
    """Whether each message of a queue counts as delivered before."""
    found = []
    async with job.other.broker.channel() as channel:
        while (delivery := await channel.get(queue)) is not None:
            found.append(delivery.redelivered)
            await delivery.ack()
    return found


@pytest.mark.parametrize("done", [3, 10, 25])
async def test_stopping_under_load_leaves_no_message_that_only_looks_as_if_it_had_been_started(job, halos, done):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(concurrency=3)}))
    for number in range(MANY):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.settled("erp", "done", done)
    await running.stop()
    left = await looked_at(job, "assets")
    assert len(left) + len(halo.journal.created("/Asset")) == MANY
    assert not any(left)


async def test_creates_that_were_not_started_when_halo_went_down_are_done_when_it_is_back(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(concurrency=3, retry=[])}))
    outage = halo.fault(Fault(FaultKind.ANSWER, "*", "/auth/*", times=None, status=503))
    halo.revoke_tokens()
    for number in range(MANY):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.until(lambda: not running.service.health.ready)
    await job.other.settles("assets", MANY)
    halo.faults.remove(outage.number)
    await running.settled("erp", "done", MANY)
    assert await job.other.depth("assets.dead") == 0
    assert len(halo.journal.created("/Asset")) == MANY
