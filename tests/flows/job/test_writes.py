"""Messages become POSTs and DELETEs of Halo: their shape on the wire, filters, and how many at a time."""

from __future__ import annotations

import pytest

from tests.tools.job import publisher, routes
from worker.sandbox.faults import Fault, FaultKind

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": "{{ customer.halo_id }}"}}


async def test_messages_become_new_assets_and_the_journal_shows_an_array_of_one(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    for number in range(10):
        await job.other.send({"serial": f"SN-{number}", "customer": {"halo_id": 12}})
    await running.settled("erp", "done", 10)
    posts = halo.journal.executed("POST", "/Asset")
    assert sorted(post.body[0]["inventory_number"] for post in posts) == [f"SN-{number}" for number in range(10)]
    assert all(post.body == [{"inventory_number": post.body[0]["inventory_number"], "client_id": 12}] for post in posts)
    assert len(halo.journal.created("/Asset")) == 10
    await job.other.settles("assets")
    assert await job.other.depth("assets.dead") == 0


async def test_a_message_without_a_transform_says_path_query_and_payload_itself(memory_job, halos):
    halo = await halos()
    publishers = {
        "update": publisher(queue="update", entity="Tickets"),
        "note": publisher(queue="note", entity="Actions", request={"query": {"returnall": False}}),
        "bookmark": publisher(queue="bookmark", entity="Bookmark"),
        "remove": publisher(queue="remove", entity="Tickets/{id}", method="DELETE", request={"query": {"reason": "by default"}}),
    }
    running = await memory_job.start(routes(halo, publishers=publishers))
    await memory_job.other.send({"payload": [{"id": 3, "summary": "one"}, {"id": 4, "summary": "two"}]}, "update")
    await memory_job.other.send({"query": {"returnall": True}, "payload": {"ticket_id": 3, "outcome": "Note", "note_html": "hello"}}, "note")
    await memory_job.other.send({"payload": {"name": "an object endpoint"}}, "bookmark")
    await memory_job.other.send({"path": {"id": 7}}, "remove")
    await memory_job.other.send({"path": {"id": 8}, "query": {"reason": "its own"}}, "remove")
    await memory_job.other.send({"path": {"id": 7}}, "remove")
    for name, count in (("update", 1), ("note", 1), ("bookmark", 1), ("remove", 3)):
        await running.settled(name, "done", count)

    assert [halo.store.get("tickets", key)["summary"] for key in (3, 4)] == ["one", "two"]
    note = halo.journal.executed("POST", "/Actions")[0]
    assert (dict(note.query), note.body) == ({"returnall": "true"}, [{"ticket_id": 3, "outcome": "Note", "note_html": "hello"}])
    assert [entry.query for entry in halo.journal.received("POST", "/Bookmark")] == [{}]
    assert [entry.body for entry in halo.journal.executed("POST", "/Bookmark")] == [{"name": "an object endpoint"}]
    removed = {entry.path: entry.query["reason"] for entry in halo.journal.executed("DELETE", "/Tickets/*")}
    assert removed == {"/Tickets/7": "by default", "/Tickets/8": "its own"}
    assert sorted(entry.status for entry in halo.journal.received("DELETE", "/Tickets/7")) == [200, 404], "gone already counts as done"


async def test_an_update_carries_the_id_and_makes_no_new_record(memory_job, halos):
    halo = await halos()
    before = halo.store.count("asset")
    running = await memory_job.start(routes(halo, publishers={"erp": publisher()}))
    await memory_job.other.send({"payload": {"id": 5, "inventory_number": "SN-5"}})
    await running.settled("erp", "done")
    assert halo.store.count("asset") == before
    assert halo.journal.executed("POST", "/Asset")[0].updated == (5,)


async def test_what_the_route_does_not_want_is_acked_counted_and_not_sent(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(when="$exists(serial)", transform=SHAPED)}))
    await job.other.send({"serial": "SN-1", "customer": {"halo_id": 12}})
    await job.other.send({"customer": {"halo_id": 12}})
    await running.settled("erp", "done")
    await running.settled("erp", "skipped")
    assert len(halo.journal.executed("POST")) == 1
    await job.other.settles("assets")
    assert await job.other.depth("assets.dead") == 0


async def test_a_queue_gets_what_its_bindings_say(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(bind=[{"exchange": "erp", "routing_key": "asset.#"}], transform=SHAPED)}))
    await job.other.send({"serial": "SN-1", "customer": {"halo_id": 12}}, "asset.created.eu", exchange="erp")
    await running.settled("erp", "done")
    assert halo.journal.executed("POST", "/Asset")[0].body[0]["inventory_number"] == "SN-1"


async def test_new_tickets_are_created_one_at_a_time_since_halo_cannot_bear_more(job, halos):
    halo = await halos(tickets_race=True, create_seconds=0.02)
    running = await job.start(routes(halo, publishers={"tickets": publisher(queue="new", entity="Tickets")}))
    for number in range(15):
        await job.other.send({"payload": {"summary": f"ticket {number}"}}, "new")
    await running.settled("tickets", "done", 15)
    assert {entry.status for entry in halo.journal.received("POST", "/Tickets")} == {201}
    assert len(halo.journal.created("/Tickets")) == 15


async def test_as_many_messages_are_in_hand_as_the_route_says_and_no_more(memory_job, halos):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=None))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(concurrency=3)}))
    for number in range(8):
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.until(lambda: held.struck == 3)
    await memory_job.other.settles("assets", 5)
    assert running.value("messages_in_hand", route="erp") == held.struck == 3
    halo.faults.clear()
    await running.settled("erp", "done", 8)
    assert len(halo.journal.created("/Asset")) == 8


@pytest.mark.parametrize("settings", [{"post_status": 200}, {"answers_array": True}, {}], ids=["status 200", "an array as answer", "usual"])
async def test_every_way_that_halo_answers_a_create_is_understood(memory_job, halos, settings):
    halo = await halos(**settings)
    running = await memory_job.start(routes(halo, publishers={"erp": publisher()}))
    await memory_job.other.send({"payload": {"inventory_number": "SN-1"}})
    await running.settled("erp", "done")
    assert len(halo.journal.created("/Asset")) == 1
