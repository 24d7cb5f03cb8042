"""The client that tells of its writes: what it looks at, what it tells, and that nothing of it keeps a write from being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from worker.core.errors import BrokerUnreachable
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ports import Slot
from worker.flows.echoes.recording import WriteRecordingHalo
from worker.state.write_index import WriteFootprint

STORED = {"id": 5, "last_update": "2026-05-01T11:00:00", "summary": "old"}
ANSWER = {"id": 5, "last_update": "2026-05-01T12:00:00.1234567Z", "summary": "ours"}


@dataclass
class Told:
    """The stream, as lists; `lost`: there is no broker."""

    lost: bool = False
    begun: list[tuple[str, str, list[str], int]] = field(default_factory=list)
    ended: list[list[WriteFootprint]] = field(default_factory=list)

    async def begin(self, write: str, client: str, resource: str, keys: Iterable[str], creates: int) -> None:
        if self.lost:
            raise BrokerUnreachable("none")
        self.begun.append((client, resource, list(keys), creates))

    async def end(self, write: str, client: str, resource: str, footprints: Iterable[WriteFootprint]) -> None:
        if self.lost:
            raise BrokerUnreachable("none")
        self.ended.append(list(footprints))


class ScriptedHalo:
    """Answers a look with what is stored, and a write with what the test says."""

    name = "main"

    def __init__(self, answer: Exchange, look: Exchange | None = None) -> None:
        self.answer = answer
        self.look = look or Exchange(RequestResult.DONE, 200, body=STORED)
        self.requests: list[Request] = []

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert request.method == "GET"
        self.requests.append(request)
        return self.look

    @asynccontextmanager
    async def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AsyncIterator[Slot | Exchange]:
        yield ScriptedSlot(self, request)


@dataclass
class ScriptedSlot:
    halo: ScriptedHalo
    request: Request

    async def send(self, until: float | None = None) -> Exchange:
        self.halo.requests.append(self.request)
        return self.halo.answer


def done(body: Any = ANSWER) -> Exchange:
    return Exchange(RequestResult.DONE, 201, body=body)


async def sent(
    halo: ScriptedHalo, told: Told, body: Any = None, *, path: str = "/Tickets", method: str = "POST", query: dict[str, str] | None = None
) -> Exchange:
    request = Request(method, path, query or {}, body if body is not None or method == "DELETE" else [{"id": 5, "summary": "ours"}])
    return await WriteRecordingHalo(halo, frozenset({"tickets", "actions"}), told).send(request, priority=Priority.WRITE)  # type: ignore[arg-type]


def kinds(told: Told) -> list[Sequence[tuple[str, str]]]:
    return [[(footprint.key, footprint.kind) for footprint in footprints] for footprints in told.ended]


async def test_an_update_is_looked_at_told_sent_and_told_again():
    halo, told = ScriptedHalo(done()), Told()
    assert await sent(halo, told) is halo.answer
    assert [(request.method, request.path) for request in halo.requests] == [("GET", "/Tickets/5"), ("POST", "/Tickets")]
    assert told.begun == [("main", "tickets", ["5"], 0)]
    assert kinds(told) == [[("5", "updated")]]


async def test_a_create_and_a_deletion_need_no_look():
    halo, told = ScriptedHalo(done()), Told()
    await sent(halo, told, [{"summary": "ours"}])
    await sent(halo, told, method="DELETE", path="/Tickets/5")
    await sent(ScriptedHalo(done({"id": 3, "ticket_id": 9})), told, method="DELETE", path="/Actions/3", query={"ticket_id": "9"})
    assert [request.method for request in halo.requests] == ["POST", "DELETE"]
    assert told.begun == [("main", "tickets", [], 1), ("main", "tickets", ["5"], 0), ("main", "actions", ["9/3"], 0)]
    assert kinds(told) == [[("5", "created")], [("5", "deleted")], [("9/3", "deleted")]]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [("/Asset", "POST", [{}]), ("/Tickets/Object", "POST", {}), ("/Tickets", "POST", "text"), ("/Tickets", "POST", [7]), ("/Tickets/5/x", "DELETE", None)],
)
async def test_what_is_not_guarded_goes_as_it_is(path: str, method: str, body: Any):
    halo, told = ScriptedHalo(done()), Told()
    await sent(halo, told, body, path=path, method=method)
    assert len(halo.requests) == 1
    assert told.begun == []


@pytest.mark.parametrize("fate", [fate for fate in RequestResult if fate is not RequestResult.DONE])
async def test_a_write_that_did_not_come_to_a_good_end_leaves_nothing(fate: RequestResult):
    told = Told()
    await sent(ScriptedHalo(Exchange(fate, 200, body=ANSWER)), told)
    assert told.ended == [[]], "but whoever waits for it is told"


@pytest.mark.parametrize("look", [Exchange(RequestResult.REJECTED, 404), Exchange(RequestResult.AMBIGUOUS, 500), Exchange(RequestResult.DONE, 200, body=[])])
async def test_a_look_that_fails_keeps_no_write_from_being_made(look: Exchange):
    halo, told = ScriptedHalo(done(), look), Told()
    assert (await sent(halo, told)).ok
    assert told.ended == [[]]


@pytest.mark.parametrize("answer", [None, "", [], [ANSWER, ANSWER], {"id": 6}, {"summary": "no id"}])
async def test_an_answer_that_is_not_of_the_record_leaves_nothing(answer: Any):
    told = Told()
    assert (await sent(ScriptedHalo(done(answer)), told)).ok
    assert told.ended == [[]]


async def test_an_answer_in_an_array_of_one_is_as_good():
    told = Told()
    await sent(ScriptedHalo(done([ANSWER])), told)
    assert kinds(told) == [[("5", "updated")]]


async def test_of_several_the_last_is_answered_unless_all_were_asked_for():
    several = [{"id": 4, "summary": "ours"}, {"summary": "new"}, {"id": 5, "summary": "ours"}]
    halo, told = ScriptedHalo(done()), Told()
    await sent(halo, told, several)
    assert told.begun == [("main", "tickets", ["5"], 0)]
    assert kinds(told) == [[("5", "updated")]]
    halo, told = ScriptedHalo(done([ANSWER | {"id": 4}, ANSWER | {"id": 9}, ANSWER])), Told()
    await sent(halo, told, several, query={"returnall": "true"})
    assert told.begun == [("main", "tickets", ["4", "5"], 1)]
    assert kinds(told) == [[("4", "updated"), ("9", "created"), ("5", "updated")]]


async def test_a_record_that_one_write_changes_twice_leaves_nothing():
    told = Told()
    await sent(ScriptedHalo(done([ANSWER, ANSWER])), told, [{"id": 5, "a": 1}, {"id": 5, "b": 1}], query={"returnall": "true"})
    assert told.ended == [[]]


async def test_without_a_broker_writes_are_made_all_the_same():
    halo = ScriptedHalo(done())
    assert (await sent(halo, Told(lost=True))).ok
    assert [request.method for request in halo.requests] == ["GET", "POST"]


async def test_the_write_is_announced_before_its_slot_is_there_and_told_when_it_has_ended():
    halo, told = ScriptedHalo(done()), Told()
    request = Request("POST", "/Tickets", {}, [{"summary": "ours"}])
    async with WriteRecordingHalo(halo, frozenset({"tickets"}), told).reserve(request, priority=Priority.WRITE) as slot:  # type: ignore[arg-type]
        assert (len(told.begun), halo.requests) == (1, [])
        assert not isinstance(slot, Exchange)
        assert (await slot.send()).ok
        assert told.ended == []
    assert kinds(told) == [[("5", "created")]]


async def test_a_write_that_cannot_be_sent_is_not_told():
    class Refusing(ScriptedHalo):
        @asynccontextmanager
        async def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AsyncIterator[Slot | Exchange]:
            yield Exchange(RequestResult.NOT_SENT)

    told = Told()
    await sent(Refusing(done()), told)
    assert (told.begun, told.ended) == ([], [])


async def test_a_write_that_could_not_be_announced_still_tells_what_it_left(monkeypatch):
    monkeypatch.setattr("worker.flows.echoes.recording.ANNOUNCEMENT_TIMEOUT", 0.01)

    class Slow(Told):
        async def begin(self, write: str, client: str, resource: str, keys: Iterable[str], creates: int) -> None:
            await asyncio.Event().wait()

    told = Slow()
    assert (await sent(ScriptedHalo(done()), told)).ok
    assert kinds(told) == [[("5", "updated")]]


async def test_after_an_answer_without_a_stamp_writes_to_that_resource_go_as_they_are_until_an_answer_has_one():
    bare = {"id": 5, "summary": "ours"}
    told, halo = Told(), ScriptedHalo(done(bare))
    recording = WriteRecordingHalo(halo, frozenset({"tickets", "actions"}), told)  # type: ignore[arg-type]
    request = Request("POST", "/Tickets", {}, [{"id": 5, "summary": "ours"}])
    for _ in range(3):
        await recording.send(request, priority=Priority.WRITE)
    assert [sent.method for sent in halo.requests] == ["GET", "POST", "POST", "POST"]
    assert told.ended == [[]]
    halo.answer = done()
    await recording.send(request, priority=Priority.WRITE)
    await recording.send(request, priority=Priority.WRITE)
    assert kinds(told) == [[], [("5", "updated")]]


async def test_the_answer_to_a_deletion_says_nothing_about_the_stamps_of_writes():
    told, halo = Told(), ScriptedHalo(done({"id": 5}))
    recording = WriteRecordingHalo(halo, frozenset({"tickets"}), told)  # type: ignore[arg-type]
    await recording.send(Request("DELETE", "/Tickets/5", {}, None), priority=Priority.WRITE)
    halo.answer = done()
    await recording.send(Request("POST", "/Tickets", {}, [{"id": 5, "summary": "ours"}]), priority=Priority.WRITE)
    assert kinds(told) == [[("5", "deleted")], [("5", "updated")]]


@pytest.mark.parametrize("path", ["/Tickets", "/Opportunities", "/projects"])
async def test_a_write_through_any_entity_of_the_table_of_tickets_is_announced_under_one_name(path: str):
    told = Told()
    await sent(ScriptedHalo(done()), told, path=path)
    assert told.begun == [("main", "tickets", ["5"], 0)]
    assert [footprint.key for footprint in told.ended[0]] == ["5"]
