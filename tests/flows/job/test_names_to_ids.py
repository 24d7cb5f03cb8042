"""`$table`, `$id`, `required` and `missing` in the worker itself, against the simulated Halo."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.job import publisher, routes, subscriber
from worker.sandbox.faults import Fault, FaultKind

SHAPED = {
    "payload": {"inventory_number": "{{ serial }}", "client_id": "{{ $id('Client', {'name': customer}) }}", "assettype_id": "{{ $table('types', type) }}"}
}
TABLES = {"types": {"laptop": 1}}


def defined(halo, **more):
    return routes(halo, publishers={"erp": publisher(**({"transform": SHAPED, "concurrency": 50} | more))}) | {"tables": TABLES}


def message(number, customer="Acme"):
    return {"serial": f"SN-{number}", "customer": customer, "type": "laptop"}


def customers(halo, count):
    return {f"Customer {number}.": halo.store.create("Client", {"name": f"Customer {number}."})["id"] for number in range(count)}


@pytest.mark.parametrize(("messages", "names"), [(400, 20), pytest.param(10_000, 200, marks=pytest.mark.long)])
async def test_each_name_is_looked_up_once_for_all_messages(memory_job, halos, messages, names):
    halo = await halos()
    known = customers(halo, names)
    running = await memory_job.start(defined(halo))
    for number in range(messages):
        await memory_job.other.send(message(number, f"Customer {number % names}."))
    await running.settled("erp", "done", messages, within=600)
    assets = {row["inventory_number"]: row["client_id"] for row in halo.store.rows("asset") if str(row.get("inventory_number")).startswith("SN-")}
    assert assets == {f"SN-{number}": known[f"Customer {number % names}."] for number in range(messages)}
    assert names <= len(halo.journal.received("GET", "/Client")) <= names + 5


async def letter(job, queue="assets.dead"):
    found = await job.other.take(queue)
    return found.headers["dead-class"], found.headers["dead-reason"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (message(1, "Nobody"), "$id: no Client in Halo has this `name`"),
        (message(1, "Twin"), "$id: 2 records of Client in Halo have this `name`: give more members"),
        (message(1) | {"type": "planted"}, "$table: the table `types` has no such row"),
        ({"customer": "Acme", "type": "laptop"}, "`transform.payload.inventory_number` is missing: the expression at routes/routes.yaml:"),
        (message(1) | {"serial": " "}, "`payload.inventory_number` is empty (it is required in routes/routes.yaml:"),
        ({"serial": 1, "customer": None, "type": "laptop"}, "`transform.payload.client_id` is missing: the expression at routes/routes.yaml:"),
    ],
    ids=["nobody", "twins", "no row", "missing", "empty", "no name"],
)
async def test_what_cannot_be_found_or_is_missing_is_dead_lettered_before_anything_is_sent(memory_job, halos, body, reason):
    halo = await halos()
    for name in ("Acme", "Twin", "Twin"):
        halo.store.create("Client", {"name": name})
    running = await memory_job.start(
        defined(halo, required=["inventory_number"], find={"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}})
    )
    await memory_job.other.send(body)
    await running.settled("erp", "dead_transform")
    dead_class, told = await letter(memory_job)
    assert dead_class == "transform"
    assert reason in told
    assert "planted" not in told
    assert halo.journal.received("POST", "/Asset") == []


async def test_a_message_that_cannot_be_looked_up_later_is_refused_before_it_is_sent(memory_job, halos):
    halo = await halos()
    find = {"query": {"search": "{{ ref }}"}, "match": {"key_field": "{{ ref }}"}}
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform={"payload": {"inventory_number": "{{ serial }}"}}, find=find)}))
    await memory_job.other.send({"serial": "SN-1"})
    await running.settled("erp", "dead_transform")
    assert "`find.match.key_field` is missing" in (await letter(memory_job))[1]
    assert halo.journal.received("POST", "/Asset") == []


async def test_a_lookup_waits_while_halo_is_away_and_a_refused_one_is_told(memory_job, halos):
    halo = await halos()
    halo.store.create("Client", {"name": "Acme"})
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Client", status=503, times=2))
    running = await memory_job.start(defined(halo))
    await memory_job.other.send(message(1))
    await running.settled("erp", "done")
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Client", status=403))
    await memory_job.other.send(message(2, "Another"))
    await running.settled("erp", "dead_auth")
    assert (await letter(memory_job))[0] == "auth"


async def test_a_subscriber_looks_up_too_and_keeps_its_cursor_while_halo_does_not_answer(memory_job, halos):
    halo = await halos(tickets=3)
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Status", status=500, times=2))
    transform = {"id": "{{ id }}", "nine": "{{ $id('Status', {'name': 'Closed'}) }}", "none": "{{ nope }}"}
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(transform=transform)}))
    events = [await memory_job.other.take("events") for _ in range(3)]
    closed = next(row["id"] for row in halo.store.rows("status") if row["name"] == "Closed")
    assert sorted(event.body["id"] for event in events) == [1, 2, 3]
    assert [event.body | {"id": 0} for event in events] == [{"id": 0, "nine": closed}] * 3
    assert running.polls("tickets", "failed") > 0
    await asyncio.sleep(0)
