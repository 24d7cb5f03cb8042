"""The recipes of the cookbook in the simulated Halo: what they promise beyond a single message."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from tests.flows.job.conftest import Running
from tests.tools.documents import blocks
from tests.tools.job import client
from worker.sandbox.simulated_halo import SimulatedHalo

ALERT = {"state": "problem", "host": "db1", "check": "disk", "output": "97% full", "customer": "acme", "severity": "major"}
PERSON = {"event": "started", "first": "Ada", "last": "Lovelace", "mail": "Ada@acme.example", "office": "Berlin"}


def recipe(page: str, route: str, halo: SimulatedHalo) -> dict[str, Any]:
    """The route file of a page that has this route, for this Halo."""
    [shown] = [loaded for text in blocks(f"docs/cookbook/{page}.md", "yaml") if route in (loaded := YAML(typ="safe").load(text)).get("publishers", {})]
    return {**shown, "clients": {"main": client(halo)}}


async def settles(running: Running, other: Any, queue: str, route: str, *messages: dict[str, Any], result: str, count: int) -> None:
    for number, message in enumerate(messages):
        await other.send(message, queue, message_id=f"{queue}-{number}-{count}")
    await running.settled(route, result, count)


async def test_alerts_collapse_into_one_ticket_until_it_is_closed(memory_job, halos):
    halo: SimulatedHalo = await halos()
    running = await memory_job.start(recipe("tickets", "alerts", halo))
    await settles(running, memory_job.other, "monitoring.alerts", "alerts", ALERT, result="done", count=1)
    await settles(running, memory_job.other, "monitoring.alerts", "alerts", ALERT, ALERT, {**ALERT, "state": "ok"}, result="skipped", count=1)
    await running.settled("alerts", "done", 3)  # `find` found the ticket
    [ticket] = [row for row in halo.store.rows("tickets") if row["summary"] == "db1: disk"]
    halo.store.update("tickets", ticket["id"], {"status_id": 9})
    await settles(running, memory_job.other, "monitoring.alerts", "alerts", ALERT, result="done", count=4)
    assert len([row for row in halo.store.rows("tickets") if row["summary"] == "db1: disk"]) == 2


async def test_a_person_who_leaves_and_returns_stays_one_user(memory_job, halos):
    halo: SimulatedHalo = await halos()
    halo.store.create("site", {"name": "Berlin", "client_id": 12})
    running = await memory_job.start(recipe("records", "people", halo))
    for count, (event, inactive) in enumerate([("started", False), ("left", True), ("started", False)], 1):
        await settles(running, memory_job.other, "hr.people", "people", {**PERSON, "event": event}, result="done", count=count)
        assert [row["inactive"] for row in halo.store.rows("users") if row.get("emailaddress") == "ada@acme.example"] == [inactive]


async def test_a_server_is_created_once_and_then_updated(memory_job, halos):
    halo: SimulatedHalo = await halos()
    running = await memory_job.start(recipe("records", "servers", halo))
    await settles(running, memory_job.other, "cmdb.servers", "servers", {"serial": "S1", "customer": 12, "remark": "rack 4"}, result="done", count=1)
    await settles(running, memory_job.other, "cmdb.servers", "servers", {"serial": "S1", "customer": 11}, result="done", count=2)
    assert [(row["client_id"], row["notes"]) for row in halo.store.rows("asset") if row["inventory_number"] == "S1"] == [(11, "rack 4")]


async def test_a_note_that_the_chat_sends_twice_is_written_once(memory_job, halos):
    halo: SimulatedHalo = await halos()
    running = await memory_job.start(recipe("tickets", "notes", halo))
    note = {"message_id": "m1", "ticket": 7, "author": "Ada", "text": "a < b"}
    await settles(running, memory_job.other, "chat.notes", "notes", note, note, result="skipped", count=1)
    assert [entry.body for entry in halo.journal.executed("POST", "/Actions")] == [
        [{"ticket_id": 7, "outcome": "Note", "note_html": "<p>Ada: a &lt; b</p>", "hiddenfromuser": True}]
    ]
