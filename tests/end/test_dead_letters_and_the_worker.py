"""Dead letters from their burial by a real worker to their replay, while it runs: every class, counted replays, and a command that is killed in the middle."""

from __future__ import annotations

import asyncio
import os
import pty
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.job import client, publisher
from tests.tools.prefork import NOTHING, ForkedProcess, start
from tests.tools.process import environment, write_routes
from tests.tools.waiting import SOON, until
from worker.core.message import Message
from worker.core.topology import work_topology
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import replay_state
from worker.sandbox.faults import Fault, FaultKind

NOWHERE = os.open(os.devnull, os.O_WRONLY)
"""For what nobody reads."""
ASSETS = DeadQueue("erp", "publisher", "assets.dead", "assets")
SHAPED = {"payload": {"inventory_number": "{{ serial }}", "key_field": "{{ $number(size) }}"}}
FIND = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}}


def routes(halo: Any, **more: Any) -> dict[str, Any]:
    return {"clients": {"main": client(halo, timeout="2s")}, "publishers": {"erp": publisher(transform=SHAPED, concurrency=1, **more)}}


async def dead(stage: Any, *arguments: str) -> Ended:
    return await run_command(stage.folder, "dead", *arguments, routes=stage.folder / "routes", amqp_url=stage.amqp_url)


async def listed(stage: Any, *arguments: str) -> list[dict[str, Any]]:
    ended = await dead(stage, "list", *arguments, "--json")
    assert ended.code == 0, ended.err
    letters: list[dict[str, Any]] = orjson.loads(ended.out)["letters"]
    return letters


def serials(halo: Any) -> list[str]:
    return [body["inventory_number"] for entry in halo.journal.executed("POST", "/Asset") for body in entry.body]


async def test_every_class_is_shown_and_a_letter_that_fails_again_counts_its_replays(stage, halos, other):
    halo = await halos()
    worker = await stage.start(routes(halo, retry=["50ms"]))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=400))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", nth=2, times=1, status=403))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", nth=3, times=1, status=500))
    for message_id in ("rejected", "auth", "in-doubt"):
        await other.send({"serial": message_id, "size": 1}, message_id=message_id)
    await other.settles("assets.dead", 3)
    await other.send(b"not json", message_id="decode")
    await other.send({"serial": "x", "size": "many"}, message_id="transform")
    await other.settles("assets.dead", 5)
    await worker.stop()
    await other.send({"serial": "crashed", "size": 1}, message_id="crashed")
    await crash_over_it(other)
    await other.settles("assets.dead", 6)
    assert [(letter["id"], letter["class"], letter["status"]) for letter in await listed(stage, "erp")] == [
        ("rejected", "rejected", 400), ("auth", "auth", 403), ("in-doubt", "in_doubt", 500), ("decode", "decode", None), ("transform", "transform", None),
        ("crashed", "crashed", None),
    ]  # fmt: skip
    worker = await stage.start(name="again")
    ended = await dead(stage, "replay", "erp", "--all", "--yes")
    assert (ended.code, ended.err) == (1, "")
    assert "erp: 5 letters replayed\nerp: 1 letter left: in doubt" in ended.out
    await other.settles("assets.dead", 4)
    letters = {letter["id"]: (letter["class"], letter["replays"]) for letter in await listed(stage, "erp")}
    assert letters == {"in-doubt": ("in_doubt", 0), "decode": ("decode", 1), "transform": ("transform", 1), "crashed": ("in_doubt", 1)}
    decided = await dead(stage, "replay", "erp", "crashed", "transform", "--as", "not-sent", "--yes")
    assert (decided.code, decided.out) == (0, "erp: 2 letters replayed\n")
    await until(lambda: enough(halo, 3))
    assert sorted(serials(halo)) == ["auth", "crashed", "rejected"]
    await other.settles("assets.dead", 3)
    assert {letter["id"]: letter["replays"] for letter in await listed(stage, "erp")} == {"in-doubt": 0, "decode": 1, "transform": 2}
    assert len(worker.log("message.dead", message_id="transform", replays=2)) == 1


async def crash_over_it(other: Any) -> None:
    """Take the message and lose the channel, as a worker would that dies over it, until it is there no more."""
    for _ in range(40):
        async with other.broker.channel() as channel:
            if await channel.get("assets") is None:
                return


async def test_a_replay_beside_a_running_worker_is_applied_in_the_old_order_and_ends(stage, halos, other):
    halo = await halos()
    await stage.start(routes(halo))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=400))
    ids = [f"m{number:02}" for number in range(40)]
    for each in ids:
        await other.send({"serial": each, "size": 1}, message_id=each)
    await other.settles("assets.dead", len(ids))
    halo.faults.clear()
    chosen = ids[3:30:2]
    ended = await dead(stage, "replay", "erp", *reversed(chosen), "--yes")
    assert (ended.code, ended.out) == (0, f"erp: {len(chosen)} letters replayed\n")
    await until(lambda: enough(halo, len(chosen)))
    assert serials(halo) == chosen
    assert [letter["id"] for letter in await listed(stage, "erp")] == [each for each in ids if each not in chosen]


async def enough(halo: Any, count: int) -> bool:
    return len(serials(halo)) >= count


@pytest.mark.parametrize("looks", [True, False], ids=["with find", "without find"])
async def test_of_two_copies_that_a_killed_command_left_one_is_created(stage, halos, other, looks):
    halo = await halos()
    worker = await stage.start(routes(halo, **({"find": FIND} if looks else {})))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=400))
    await other.send({"serial": "SN-1", "size": 1}, message_id="m1")
    await other.settles("assets.dead", 1)
    async with other.broker.channel() as channel:  # what a command has done that is killed between its publish and its ack
        delivery = await channel.get("assets.dead")
        assert delivery is not None
        codec = await other.codec()
        copy = codec.copy(delivery.message, "assets", replay_state(letter_of(ASSETS, delivery.message, codec)))
        await other.broker.publish(copy, routing_key="assets")
    await worker.logged("message.done")
    await other.settles("assets.dead", 1)
    assert (await dead(stage, "replay", "erp", "--all", "--yes")).code == 0
    if looks:
        await until(lambda: settled_twice(worker))
    else:
        await worker.logged("message.dead", dead_class="in_doubt")
    assert len([row for row in halo.store.rows("asset") if row.get("inventory_number") == "SN-1"]) == 1


@pytest.mark.parametrize("looks", [True, False], ids=["with find", "without find"])
async def test_two_letters_with_one_id_and_one_content_are_replayed_without_waiting(stage, halos, other, looks):
    halo = await halos()
    worker = await stage.start(routes(halo, retry=["50ms"], **({"find": FIND} if looks else {})))
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=2, status=400))
    for number in (1, 2):
        await other.send({"serial": "SN-1", "size": 1}, message_id="m1")
        await other.settles("assets.dead", number)
    assert (await dead(stage, "replay", "erp", "--all", "--yes")).code == 0
    await until(lambda: settled_twice(worker))
    assert not worker.log("attempt.waits")
    assert not worker.log("message.retried")
    assert await other.depth("assets.dead") == 0


async def settled_twice(worker: Any) -> bool:
    return len(worker.log("message.done")) >= 2


async def test_a_command_that_is_killed_in_the_middle_loses_nothing_and_doubles_at_most_one(stage, other, halos):
    write_routes(stage.folder, routes(await halos()))
    await other.broker.declare(work_topology("assets", [0.05, 0.1]))
    ids = [f"m{number:04}" for number in range(600)]
    for begin_at in range(0, len(ids), 100):
        headers = {"dead-class": "rejected", "dead-reason": "no", "dead-at": "2026-03-01T12:00:00Z"}
        await asyncio.gather(
            *(other.broker.publish(Message(b"{}", headers, message_id=each), routing_key="assets.dead") for each in ids[begin_at : begin_at + 100])
        )
    process = await begin(stage, "replay", "erp", "--where", "$not($contains(id, '3'))", "--yes")
    await until(lambda: so_many(other, "assets", 30))
    process.kill()
    await process.wait()
    replayed = [letter.message.message_id for letter in await other.drain("assets")]
    chosen = [each for each in ids if "3" not in each]
    assert replayed == chosen[: len(replayed)]
    assert 30 <= len(replayed) < len(chosen)

    async def back() -> bool:
        return await other.depth("assets.dead") >= len(ids) - len(replayed)

    await until(back)
    left = [letter.message.message_id for letter in await other.drain("assets.dead")]
    assert left == [each for each in ids if each not in set(replayed) or (each == replayed[-1] and each in left)]
    assert set(left) | set(replayed) == set(ids)


async def so_many(other: Any, queue: str, count: int) -> bool:
    return await other.depth(queue) >= count


async def begin(stage: Any, *arguments: str, stdin: int = NOTHING, output: int = NOWHERE) -> ForkedProcess | asyncio.subprocess.Process:
    given = environment(stage.folder, {}, routes=stage.folder / "routes", amqp_url=stage.amqp_url, log_format="console") | {"TERM": "xterm"}
    return await start(["dead", *arguments], given, stdin=stdin, stdout=output, stderr=output)


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 2), ("\n", 1, 2), ("\x04", 1, 2)], ids=["yes", "no", "nothing", "end"])
async def test_at_a_terminal_it_is_asked_and_only_a_yes_is_one(stage, other, halos, typed, code, left):
    write_routes(stage.folder, routes(await halos()))
    await other.broker.declare(work_topology("assets", [0.05, 0.1]))
    for each in ("m1", "m2"):
        await other.broker.publish(Message(b"{}", {"dead-class": "rejected"}, message_id=each), routing_key="assets.dead")
    ours, theirs = pty.openpty()
    process = await begin(stage, "discard", "erp", "--all", stdin=theirs, output=theirs)
    os.close(theirs)
    said = b""
    async with asyncio.timeout(SOON):
        while b"[y/N]" not in said:
            said += await asyncio.to_thread(os.read, ours, 1024)
        assert b"Discard 2 letters of erp (2 rejected)?" in said
        os.write(ours, typed.encode())
        assert await process.wait() == code
    os.close(ours)
    await other.settles("assets.dead", left)


async def test_a_run_that_failed_goes_on_from_its_step_with_its_variables(stage, halos, other):
    halo = await halos()
    note = {"action": "create_action", "client": "main", "body": {"ticket_id": 3, "outcome": "Note", "note_html": "<<Text>>"}}
    steps = {"first": {"action": "update_ticket", "client": "main", "body": {"id": 3, "summary": "x"}, "next": "note"}, "note": note}
    runbook = {"start": {"queue": "go"}, "input": {"Text": "request^text!"}, "first": "first", "steps": steps}
    worker = await stage.start({"clients": {"main": client(halo)}, "runbooks": {"rb": runbook}})
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Actions", times=2, status=400))
    await other.send({"text": "hello"}, "go")
    await other.send(b"not json", "go", message_id="bad-start")
    for replays in (1, 2):
        await other.settles("halo.run.rb.dead", 1)
        await other.settles("go.dead", 1)
        letters = await listed(stage, "rb")
        assert [(letter["queue"], letter["class"], letter["replays"]) for letter in letters] == [
            ("halo.run.rb.dead", "rejected", replays - 1), ("go.dead", "decode", replays - 1),
        ]  # fmt: skip
        assert (await dead(stage, "replay", "rb", "--all", "--yes")).out == "rb: 2 letters replayed\n"
    await worker.logged("message.done", detail="the run is done")
    assert [entry.body[0]["note_html"] for entry in halo.journal.executed("POST", "/Actions")] == ["hello"]
    assert len(halo.journal.executed("POST", "/Tickets")) == 1


async def test_a_run_that_was_sent_goes_on_with_its_next_step_without_calling_again(stage, halos, other, tmp_path: Path):
    halo = await halos()
    note = {"action": "create_action", "client": "main", "body": {"ticket_id": 3, "outcome": "Note", "note_html": "one"}, "next": "then"}
    then = {"action": "create_action", "client": "main", "body": {"ticket_id": 3, "outcome": "Note", "note_html": "two"}}
    runbook = {"start": {"queue": "go"}, "first": "note", "steps": {"note": note, "then": then}}
    worker = await stage.start({"clients": {"main": client(halo)}, "runbooks": {"rb": runbook}})
    halo.fault(Fault(FaultKind.RESET, "POST", "/Actions", executed=True, times=1))
    await other.send({}, "go")
    await other.settles("halo.run.rb.dead", 1)
    [letter] = await listed(stage, "rb")
    assert (letter["class"], letter["queue"]) == ("in_doubt", "halo.run.rb.dead")
    blind = await dead(stage, "replay", "rb", "--all", "--as", "look", "--yes")
    assert (blind.code, "step 'note' has no `find`" in blind.err) == (2, True)
    ended = await dead(stage, "replay", "rb", "--all", "--as", "sent", "--yes")
    assert (ended.code, ended.out) == (0, "rb: 1 letter taken as done\n")
    await worker.logged("message.done", detail="the run is done")
    assert [entry.body[0]["note_html"] for entry in halo.journal.executed("POST", "/Actions")] == ["one", "two"]
    assert await other.depth("halo.run.rb.dead") == 0
