"""Dead letters of all routes in one list, and a letter that is edited, replayed and created in Halo."""

from __future__ import annotations

from typing import Any

import orjson

from tests.tools.commands import Ended, run_command
from tests.tools.job import client, publisher, subscriber
from tests.tools.waiting import until
from worker.core.message import Message

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


def routes(halo: Any) -> dict[str, Any]:
    looking = publisher(queue="looked", find=FIND, retry=["50ms"])
    publishers = {"erp": publisher(retry=["50ms"]), "looking": looking}
    return {"clients": {"main": client(halo)}, "publishers": publishers, "subscribers": {"tickets": subscriber(every="1h", transform="$error('no')")}}


async def dead(stage: Any, *arguments: str, **more: Any) -> Ended:
    return await run_command(stage.folder, "dead", *arguments, routes=stage.folder / "routes", amqp_url=stage.amqp_url, **more)


async def json(stage: Any, *arguments: str) -> Any:
    ended = await dead(stage, *arguments, "--json")
    assert ended.code == 0, ended.err
    return orjson.loads(ended.out)


def assets(halo: Any) -> list[Any]:
    return [body for entry in halo.journal.executed("POST", "/Asset") for body in entry.body]


async def test_the_letters_of_all_routes_are_listed_without_naming_one(stage, halos, other):
    await stage.start(routes(await halos(tickets=2)))
    await other.settles("halo.dead.tickets", 2)
    await other.send({"payload": 7}, message_id="m1")
    await other.settles("assets.dead", 1)
    await other.broker.publish(Message(b"{}", message_id="lost"), routing_key="halo.unrouted")
    told = await json(stage, "list")
    assert {route: about["chosen"] for route, about in told["routes"].items()} == {"erp": 1, "tickets": 2, "unrouted": 1}
    assert told["total"] == len(told["letters"]) == 4
    assert {(letter["route"], letter["class"]) for letter in told["letters"]} == {("erp", "decode"), ("tickets", "transform"), ("unrouted", "unrouted")}
    listed = await dead(stage, "list")
    assert (listed.code, listed.err) == (0, "")
    assert listed.out.splitlines()[-3:] == ["erp: 1 letter (1 decode)", "tickets: 2 letters (2 transform)", "unrouted: 1 letter (1 unrouted)"]
    assert (await json(stage, "list", "--where", "class = 'decode'"))["total"] == 4
    assert await other.depth("assets.dead") == 1


async def test_an_edited_letter_is_replayed_with_its_new_body_and_the_original_stays(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo))
    await other.send({"payload": {"inventory_number": "A1", "client_id": "x"}}, message_id="m1", headers={"order-id": 7})
    await other.settles("assets.dead", 1)
    shown = await dead(stage, "edit", "erp", "m1", "--set", "payload.client_id=12", "--dry-run")
    assert '-    "client_id": "x"' in shown.out
    assert '+    "client_id": 12' in shown.out
    assert "nothing was changed" in shown.out
    [before] = (await json(stage, "list", "erp"))["letters"]
    edited = await dead(stage, "edit", "erp", "m", "--set", "payload.client_id=12", "--set", "payload.notes[0]=a", "--yes")
    assert edited.code == 2
    assert "--set" in edited.err
    edited = await dead(stage, "edit", "erp", "m1", "--set", "payload.client_id=12", "--yes")
    assert (edited.code, edited.err) == (0, "")
    [after] = (await json(stage, "list", "erp"))["letters"]
    assert after | {"edited": False} | {"age": before["age"]} == before
    listed = (await dead(stage, "list", "erp")).out
    assert ("edited" in listed.splitlines()[0], " yes " in listed) == (True, True), listed
    [letter] = await json(stage, "show", "erp", "m1")
    assert (letter["body"]["payload"]["client_id"], letter["headers"]["order-id"]) == (12, 7)
    [original] = await json(stage, "show", "halo.edits.dead", "m1")
    assert (original["body"]["payload"]["client_id"], original["class"], original["headers"]["order-id"]) == ("x", "rejected", 7)
    assert (await dead(stage, "replay", "erp", "m1", "--yes")).code == 0
    done = await worker.logged("message.done", message_id="m1")
    assert done["attempt"] == 1
    assert [(body["inventory_number"], body["client_id"]) for body in assets(halo) if body["client_id"] == 12] == [("A1", 12)]
    assert not worker.log("headers.unproven")


async def test_an_original_whose_edit_lies_beside_it_is_not_replayed(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo))
    await other.send({"payload": {"inventory_number": "A1", "client_id": "x"}}, message_id="m1")
    await other.settles("assets.dead", 1)
    [original] = [letter.message for letter in await other.drain("assets.dead")]
    await other.broker.publish(original, routing_key="assets.dead")
    await dead(stage, "edit", "erp", "m1", "--set", "payload.client_id=12", "--yes")
    await other.broker.publish(original, routing_key="assets.dead")  # as a command leaves it that dies before it takes the original away
    replayed = await dead(stage, "replay", "erp", "--all", "--yes")
    assert replayed.code == 1
    assert "erp: 1 letter replayed" in replayed.out
    assert "its edit lies beside it" in replayed.out
    await worker.logged("message.done", message_id="m1")
    [left] = [letter.body for letter in await other.drain("assets.dead")]
    assert left["payload"]["client_id"] == "x"


async def test_an_edited_letter_of_a_route_with_find_is_looked_up_before_it_is_created(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo))
    await other.send({"payload": {"inventory_number": "A1", "client_id": "x"}}, message_id="m1", queue="looked")
    await other.settles("looked.dead", 1)
    body = stage.folder / "body.json"
    body.write_bytes(orjson.dumps({"payload": {"inventory_number": "A1", "client_id": 12}}))
    assert (await dead(stage, "edit", "looking", "m1", "--file", str(body), "--yes")).code == 0
    assert (await dead(stage, "replay", "looking", "m1", "--yes")).code == 0
    await worker.logged("message.done", message_id="m1")
    await until(lambda: looked(halo))


async def looked(halo: Any) -> bool:
    return any(entry.query.get("search") == "A1" for entry in halo.journal.executed("GET", "/Asset"))
