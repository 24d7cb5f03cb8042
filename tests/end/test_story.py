"""`halo-worker trace`: one record is followed by one command from Halo to a queue, to its target and back, with its dead letters and replays."""

from __future__ import annotations

from typing import Any

import orjson

from tests.tools.commands import run_command
from tests.tools.job import EVENTS, client, publisher, routes, subscriber
from tests.tools.waiting import until
from worker.core.topology import TRACE

BACK = {"payload": {"inventory_number": "T-{{ id }}", "client_id": 12}}


async def told(stage: Any, *arguments: str) -> list[dict[str, Any]]:
    ended = await run_command(stage.folder, "trace", *arguments, "--json", routes=stage.folder / "routes", amqp_url=stage.amqp_url)
    assert ended.code in {0, 1}, ended.err
    notes: list[dict[str, Any]] = orjson.loads(ended.out)["notes"]
    return notes


async def eventually(stage: Any, *arguments: str, has: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await told(stage, *arguments)
        return any(note["event"] == has for note in found)

    await until(there)
    return found


def stages(notes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(note["event"], note["route"]) for note in notes]


async def test_a_record_is_followed_from_halo_to_a_queue_to_its_target_and_back(stage, halos, other):
    halo = await halos(tickets=3)
    erp = publisher(transform=BACK, bind=[{"exchange": "halo", "routing_key": "tickets.#"}])
    assets = subscriber(entity="Asset", every="1s", start="now")
    worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(every="1h"), "assets": assets}, publishers={"erp": erp}))
    letters = await other.take_all(EVENTS, 3)
    for _ in letters:
        await worker.logged("message.done")
    letter = letters[0]
    record = str(letter.body["id"])
    notes = await eventually(stage, "Tickets", record, has="done")
    assert stages(notes)[:7] == [
        ("seen", "tickets"), ("published", "tickets"), ("received", "erp"), ("transformed", "erp"), ("attempted", "erp"), ("written", "erp"), ("done", "erp"),
    ]  # fmt: skip
    written = notes[5]
    asset = next(entry.created[0] for entry in halo.journal.executed("POST", "/Asset") if entry.correlation == letter.message.correlation_id)
    assert (written["entity"], written["records"], written["status"]) == ("asset", [str(asset)], 201)
    assert {note["message_id"] for note in notes[1:7]} == {letter.message.message_id}
    assert [note["event"] for note in await told(stage, letter.message.message_id)][:6] == [note["event"] for note in notes[1:7]]
    assert stages(await told(stage, letter.message.correlation_id or ""))[:2] == [("published", "tickets"), ("received", "erp")]
    back = await eventually(stage, "Tickets", record, has="published")
    assert {note["entity"] for note in back if note.get("records")} <= {"tickets", "asset"}
    assert await told(stage, "Tickets", "999999") == []


async def test_a_dead_letter_its_edit_and_its_replay_are_in_the_story_and_no_customer_data(stage, halos, other):
    halo = await halos()
    worker = await stage.start({"clients": {"main": client(halo)}, "publishers": {"erp": publisher(retry=["50ms"])}})
    await other.send({"payload": {"inventory_number": "Jane Doe", "client_id": "x"}}, message_id="m1")
    await other.settles("assets.dead", 1)
    for arguments in (("edit", "erp", "m1", "--set", "payload.client_id=12", "--yes"), ("replay", "erp", "m1", "--yes")):
        ended = await run_command(stage.folder, "dead", *arguments, routes=stage.folder / "routes", amqp_url=stage.amqp_url)
        assert ended.code == 0, ended.err
    await worker.logged("message.done")
    notes = await eventually(stage, "m1", has="done")
    assert [event for event, _ in stages(notes)] == [
        "received", "transformed", "attempted", "dead", "edited", "replayed", "received", "transformed", "attempted", "written", "done",
    ]  # fmt: skip
    assert (notes[3]["dead_class"], notes[3]["status"], notes[6]["replays"]) == ("rejected", 400, 1)
    assert "Jane" not in orjson.dumps(notes).decode()
    shown = await run_command(stage.folder, "trace", "m1", routes=stage.folder / "routes", amqp_url=stage.amqp_url)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-1] == "correlation ids: m1"


async def test_the_trace_can_be_turned_off(stage, halos, other):
    worker = await stage.start({"clients": {"main": client(await halos())}, "publishers": {"erp": publisher()}}, trace="off")
    await other.send({"payload": {"inventory_number": "A1"}}, message_id="m1")
    await worker.logged("message.done")
    assert not await other.broker.queue_exists(TRACE)
    assert await told(stage, "m1") == []
