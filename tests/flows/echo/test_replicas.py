"""The echo guard over replicas, restarts and trouble: an echo may get through, a change is never swallowed."""

from __future__ import annotations

import pytest

from tests.flows.echo.conftest import WRITES, Stage, definitions, stage
from tests.tools.job import EVENTS, client, publisher, subscriber
from worker.core.topology import echoes_topology
from worker.sandbox.faults import Fault, FaultKind

NEW = {"summary": "ours", "tickettype_id": 1, "client_id": 2}


async def test_two_replicas_know_each_others_writes(job, halos):
    halo = await halos()
    one = await stage(job, halo, "Tickets")
    other = await job.start(definitions(halo, "Tickets"))
    for number in range(1, 9):
        await job.other.send({"payload": {"id": number, "summary": "ours"} if number % 2 else NEW}, WRITES)
    await one.running.until(lambda: one.running.messages("erp", "done") + other.messages("erp", "done") == 8)
    assert min(one.running.messages("erp", "done"), other.messages("erp", "done")) > 0, "both wrote"
    polls = one.running.polls("seen") + other.polls("seen")
    await one.running.until(lambda: one.running.polls("seen") + other.polls("seen") >= polls + 4)
    assert await job.other.drain(EVENTS) == []
    halo.store.update("Tickets", 3, {"summary": "theirs"})
    assert (await job.other.take(EVENTS)).body["id"] == 3


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
async def test_a_worker_that_starts_between_the_write_and_the_poll_knows_it(job, halos, entity):
    halo = await halos()
    learning = await stage(job, halo, entity)
    await learning.running.stop()
    writing = Stage(job, halo, await job.start(definitions(halo, entity, name="another", queue="another")), entity)
    await writing.write({"id": 5, "name": "ours"} if entity == "Supplier" else {"id": 5, "summary": "ours"})
    await writing.write({"name": "ours"} if entity == "Supplier" else NEW)
    await writing.running.stop()
    halo.store.update(entity, 7, {"inactive": True})
    polling = Stage(job, halo, await job.start(definitions(halo, entity)), entity)
    assert await polling.told() == [("updated", 7)]
    assert polling.echoes() == 2


@pytest.mark.parametrize("payload", [{"id": 5, "summary": "ours"}, NEW], ids=["update", "create"])
async def test_a_poll_that_meets_a_write_under_way_waits_for_what_it_left(job, halos, payload):
    halo = await halos()
    scene = await stage(job, halo, "Tickets")
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Tickets", executed=True))
    await job.other.send({"payload": payload}, WRITES)

    def met() -> bool:
        """A poll has read what the write left: it waits for it now, so there may be no other."""
        written = halo.journal.executed("POST", "/Tickets")
        return held.struck == 1 and bool(written) and halo.journal.executed("GET", "/Tickets")[-1].number > written[0].number

    await scene.running.until(met)
    halo.faults.clear()
    await scene.running.settled("erp", "done")
    assert await scene.quiet() == []
    assert scene.echoes() == 1


async def test_it_does_not_wait_for_ever(memory_job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.echoes.filter.WAIT_FOR_WRITES", 0.05)
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets")
    halo.fault(Fault(FaultKind.HOLD, "POST", "/Tickets", executed=True))
    await memory_job.other.send({"payload": {"id": 5, "summary": "ours"}}, WRITES)
    assert await scene.told() == [("updated", 5)]
    halo.faults.clear()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.RESET, "POST", "/Tickets", executed=True),
        Fault(FaultKind.CUT, "POST", "/Tickets"),
        Fault(FaultKind.ANSWER, "GET", "/Tickets/5", status=500),
        Fault(FaultKind.ANSWER, "GET", "/Tickets/5", status=404),
    ],
    ids=["the answer is lost", "the answer is cut", "the look fails", "the look finds nothing"],
)
async def test_a_write_of_which_too_little_is_known_is_published(memory_job, halos, fault):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets")
    async with scene.between_polls():
        halo.fault(fault)
        await memory_job.other.send({"payload": {"id": 5, "summary": "ours"}}, WRITES)
        await scene.running.until(lambda: bool(halo.journal.executed("POST", "/Tickets")))
    assert (await memory_job.other.take(EVENTS)).body["id"] == 5


async def test_a_stream_that_was_deleted_swallows_nothing_and_is_made_again(job, halos):
    halo = await halos()
    scene = await stage(job, halo, "Tickets")
    async with scene.between_polls():
        await scene.write({"id": 5, "summary": "ours"})
        await job.other.broker.delete(echoes_topology())
        halo.store.update("Tickets", 6, {"summary": "theirs"})
    letters = await job.other.take_all(EVENTS, 1)
    letters += await scene.quiet()
    assert 6 in {letter.body["id"] for letter in letters}, "that ours may come as well is no harm"

    async def works() -> bool:
        before = scene.echoes()
        await scene.write({"id": 7, "summary": f"ours {scene.done}"})
        await scene.quiet(2)
        return scene.echoes() > before

    while not await works():
        pass


@pytest.mark.parametrize("returnall", [True, False], ids=["all are answered", "the last is answered"])
async def test_of_an_array_those_are_known_that_halo_answers(memory_job, halos, returnall):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets")
    async with scene.between_polls():
        await scene.write([{"id": 5, "summary": "ours"}, NEW, {"id": 6, "summary": "ours"}], query={"returnall": returnall})
    if returnall:
        assert await scene.quiet() == []
        assert scene.echoes() == 3
    else:
        [born] = halo.journal.created("/Tickets")
        assert await scene.told(2) == [("created", born), ("updated", 5)]
        assert scene.echoes() == 1


async def test_what_a_runbook_writes_is_no_event_either(memory_job, halos):
    halo = await halos()
    steps = {"edit": {"action": "update_ticket", "client": "main", "body": {"id": 5, "summary": "<<Name>>"}}}
    runbook = {"start": {"queue": "go"}, "input": {"Name": "request^name!"}, "first": "edit", "steps": steps}
    watching = subscriber(entity="Tickets", start="now", every="50ms")
    running = await memory_job.start({"clients": {"main": client(halo)}, "subscribers": {"seen": watching}, "runbooks": {"rb": runbook}})
    await running.polled("seen", 2, "complete")
    await memory_job.other.send({"name": "ours"}, "go")
    await running.until(lambda: int(running.value("echoes_total", route="seen")) == 1)
    await running.polled("seen", 2)
    assert await memory_job.other.drain(EVENTS) == []
    assert halo.store.get("tickets", 5)["summary"] == "ours"


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
async def test_a_subscriber_whose_events_are_written_back_comes_to_rest(job, halos, entity):
    halo = await halos()
    name = {"Tickets": "summary", "Supplier": "name"}[entity]
    watching = subscriber(entity=entity, start="now", queue=None, every="50ms")
    back = publisher(
        queue="back",
        entity=entity,
        bind=[{"exchange": "halo", "routing_key": f"{entity.lower()}.*"}],
        transform={"payload": {"id": "{{ id }}", name: f"{{{{ {name} & '!' }}}}"}},
    )
    running = await job.start({"clients": {"main": client(halo)}, "subscribers": {"seen": watching}, "publishers": {"erp": back}})
    await running.polled("seen", 2, "complete")
    halo.store.update(entity, 5, {name: "theirs"})
    await running.settled("erp", "done")
    await running.polled("seen", 4)
    assert len(halo.journal.executed("POST", f"/{entity}")) == 1
    assert halo.store.get(entity.lower(), 5)[name] == "theirs!"
