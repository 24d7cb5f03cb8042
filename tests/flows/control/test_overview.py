"""The state of the worker as an operator asks for it: with replicas, after they are gone, and where something is wrong."""

from __future__ import annotations

import orjson

from tests.tools.job import publisher, routes, subscriber
from worker.core.topology import STATUS, UNROUTED
from worker.sandbox.faults import Fault, FaultKind

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12}}
UPDATE = {"path": {}, "query": {}, "payload": {"id": "{{ id }}", "inventory_number": "{{ serial }}"}}
ROUTE = {"name", "kind", "state", "reason", "backlog", "oldest_s", "retrying", "dead", "last_success", "lag_s"}


async def test_the_overview_has_the_members_of_its_contract_and_is_json(job, halos, operator):
    halo = await halos(rate_limit=700)
    defined = routes(halo, publishers={"erp": publisher(transform=SHAPED)}, subscribers={"tickets": subscriber()}, rate_limit="600/5m")
    running = await job.start(defined)
    await job.other.send({"serial": "SN-1"})
    await running.settled("erp", "done")
    await running.polled("tickets", 1, "complete")
    erp = await operator.route_is("erp", state="running", backlog=0, dead=0, retrying=0)
    tickets = await operator.route_is("tickets", state="running")
    found = await operator.overview()
    assert orjson.loads(orjson.dumps(found)) == found
    assert found.keys() == {"replicas", "routes", "unrouted", "clients", "problems"}
    assert [set(each) for each in found["replicas"]] == [{"name", "version", "since", "ready"}]
    assert {each["ready"] for each in found["replicas"]} == {True}
    assert set(erp) == set(tickets) == ROUTE
    assert (erp["kind"], erp["lag_s"], tickets["kind"], tickets["backlog"]) == ("publisher", None, "subscriber", None)
    assert erp["last_success"] > found["replicas"][0]["since"]
    assert 0 <= tickets["lag_s"] < 60
    assert found["clients"] == [
        {"name": "main", "up": True, "reason": "Halo answers and gives tokens", "budget_used": found["clients"][0]["budget_used"], "budget_limit": 600}
    ]
    assert found["clients"][0]["budget_used"] > 0


async def test_a_client_that_is_down_says_why(memory_job, halos, operator):
    halo = await halos()
    defined = routes(halo, publishers={"erp": publisher(transform=SHAPED)})
    defined["clients"]["main"]["auth"]["client_secret"] = "a-secret-that-was-rotated"
    await memory_job.start(defined, ready=False)
    await operator.route_is("erp", state="waiting")
    (client,) = (await operator.overview())["clients"]
    assert (client["up"], "invalid_client" in client["reason"]) == (False, True)
    assert "rotated" not in client["reason"]


async def test_a_worker_that_is_gone_still_shows_its_routes_and_what_waits_for_them(job, halos, operator, monkeypatch):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await operator.route_is("erp", state="running", backlog=0)
    await running.stop()
    await job.other.send({"serial": "SN-1"})
    await job.other.send({"x": 1}, "assets.dead")
    monkeypatch.setattr("worker.state.reports.ReplicaReport.fresh", lambda *_: False)  # as after some seconds
    found = await operator.route_is("erp", state="down", backlog=1, dead=1)
    assert found["reason"] == "no replica reports this route"
    assert found["oldest_s"] is not None
    assert (await operator.overview())["replicas"] == []


async def test_copies_in_retry_queues_are_counted_until_they_are_due(memory_job, halos, operator):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=500))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=UPDATE, retry=["1h"])}))
    await memory_job.other.send({"id": 5, "serial": "SN-1"})
    await running.settled("erp", "retried")
    await operator.route_is("erp", retrying=1)


async def test_what_waits_for_its_turn_is_backlog_while_its_route_is_paused(memory_job, halos, operator):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=None))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED, fair_by="{{ serial }}", concurrency=2)}))
    for number in range(10):
        await memory_job.other.send({"serial": f"SN-{number}"})
    await running.until(lambda: running.value("ordered_waiting", route="erp") == 10)
    await operator.pause("erp")
    halo.faults.remove(held.number)
    await operator.paused(running, "erp")
    waiting = 10 - int(running.value("messages_total", route="erp", result="done"))
    assert waiting > 0
    paused = await operator.route_is("erp", state="paused", backlog=waiting)
    assert paused["oldest_s"] is not None
    await operator.resume("erp")
    await running.settled("erp", "done", 10)
    await operator.route_is("erp", state="running", backlog=0)


async def test_events_that_no_queue_took_are_counted_and_stand_in_readiness_and_metrics(memory_job, halos, operator):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await memory_job.other.send({"x": 1}, UNROUTED)
    await running.until(lambda: running.value("unrouted_waiting") == 1)
    assert "halo.unrouted" in running.service.health.parts["unrouted"].detail
    assert running.service.health.ready
    assert (await operator.overview())["unrouted"] == 1
    await memory_job.other.drain(UNROUTED)
    await running.until(lambda: "unrouted" not in running.service.health.parts)


async def test_a_client_without_halo_makes_its_routes_wait_and_says_so(memory_job, halos, operator):
    halo = await halos()
    wrong = routes(halo, publishers={"erp": publisher(transform=SHAPED)})
    wrong["clients"]["main"]["auth"]["client_secret"] = "wrong-secret"
    await memory_job.start(wrong, ready=False)
    found = await operator.route_is("erp", state="waiting")
    assert "Halo client" in found["reason"]
    assert (await operator.overview())["clients"][0]["up"] is False


async def test_a_subscriber_without_halo_waits_and_says_why_before_its_next_poll_is_due(memory_job, halos, operator):
    halo = await halos()
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(every="1h")}))
    await running.until(lambda: running.polls("tickets", "complete") == 1)
    await operator.route_is("tickets", state="running")
    running.service.health.down("client main", "its token is refused")
    found = await operator.route_is("tickets", state="waiting")
    assert found["reason"] == "no polls while its Halo client is down: client main: its token is refused"


async def test_what_no_worker_reported_is_not_shown(memory_job, halos, operator):
    halo = await halos()
    await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await operator.route_is("erp", state="running")
    await memory_job.other.send({"v": 1, "mac": "00", "text": '{"name": "forged"}'}, STATUS)
    assert "forged" not in {each["name"] for each in (await operator.overview())["replicas"]}
