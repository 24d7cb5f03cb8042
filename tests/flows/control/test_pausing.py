"""A paused route takes nothing new, loses nothing, and goes on where it was: for every kind of route, over restarts."""

from __future__ import annotations

import pytest

from tests.tools.job import EVENTS, publisher, routes, subscriber
from worker.core.topology import CONTROL

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12}}


def asset(number: int) -> dict[str, str]:
    return {"serial": f"SN-{number}"}


@pytest.mark.parametrize("more", [{}, {"order_by": "{{ serial }}"}], ids=["plain", "ordered"])
async def test_a_paused_publisher_takes_nothing_and_does_all_of_it_once_resumed(job, halos, operator, more):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED, **more)}))
    await job.other.send(asset(0))
    await running.settled("erp", "done")
    await operator.paused(running, "erp", "maintenance of the ERP")
    for number in range(1, 6):
        await job.other.send(asset(number))
    seen = await operator.route_is("erp", state="paused", backlog=5)
    assert "maintenance of the ERP" in seen["reason"]
    assert running.service.health.ready
    assert running.messages("erp", "done") == 1
    await operator.resume("erp")
    await running.settled("erp", "done", 6)
    assert len(halo.journal.created("/Asset")) == 6
    await operator.route_is("erp", state="running", backlog=0)


async def test_a_pause_survives_a_restart_and_holds_for_a_replica_that_starts_later(job, halos, operator):
    halo = await halos()
    defined = routes(halo, publishers={"erp": publisher(transform=SHAPED)})
    first = await job.start(defined)
    await operator.pause("erp")
    await first.until(lambda: first.value("paused", route="erp") == 1)
    await first.stop()
    await job.other.send(asset(1))
    second = await job.start(defined)
    third = await job.start(defined)
    await operator.route_is("erp", state="paused", backlog=1)
    assert (second.value("paused", route="erp"), third.value("paused", route="erp")) == (1, 1)
    assert halo.journal.created("/Asset") == []
    await operator.resume("erp")
    await second.until(lambda: second.messages("erp", "done") + third.messages("erp", "done") == 1)


async def test_a_paused_subscriber_polls_nothing_and_publishes_what_changed_meanwhile(job, halos, operator):
    halo = await halos(tickets=3)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber()}))
    await job.other.take_all(EVENTS, 3)
    await operator.paused(running, "tickets")
    polls = running.polls("tickets")
    halo.store.update("tickets", 1, {"summary": "changed in the pause"})
    await operator.route_is("tickets", state="paused")
    assert running.polls("tickets") == polls
    await operator.resume("tickets")
    assert (await job.other.take(EVENTS)).body["summary"] == "changed in the pause"


async def test_a_forged_control_message_pauses_nothing(memory_job, halos, operator):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    forged = b'{"v":1,"mac":"00","text":"{\\"revision\\":9,\\"routes\\":{\\"erp\\":{\\"since\\":1,\\"by\\":\\"x\\",\\"reason\\":\\"\\"}}}"}'
    await memory_job.other.send(forged, CONTROL)
    await memory_job.other.send(asset(1))
    await running.settled("erp", "done")
    assert running.value("paused", route="erp") == 0


async def test_one_paused_route_does_not_touch_another(job, halos, operator):
    halo = await halos()
    both = {"erp": publisher(transform=SHAPED), "cmdb": publisher(queue="computers", transform=SHAPED)}
    running = await job.start(routes(halo, publishers=both))
    await operator.paused(running, "erp")
    await job.other.send(asset(1))
    await job.other.send(asset(2), "computers")
    await running.settled("cmdb", "done")
    assert running.messages("erp", "done") == 0
