"""`include`: lists inside the changed records, and of no other record."""

from __future__ import annotations

from collections import Counter

from tests.tools.job import EVENTS, listening, routes, subscriber
from worker.sandbox.faults import Fault, FaultKind

INCLUDE = {"actions": {"entity": "Actions", "query": {"ticket_id": "{{ id }}"}}}


def note(halo, ticket):
    return halo.store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note": "New"})


async def test_changed_records_have_their_list_before_when_and_transform_and_unchanged_ones_cost_nothing(memory_job, halos):
    halo = await halos(tickets=8)
    for ticket in range(1, 9):
        note(halo, ticket)
    route = subscriber(include=INCLUDE, when="{{ $count(actions) > 0 }}", transform={"id": "{{ id }}", "notes": "{{ [actions.note] }}"}, queue=None)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"tickets": route}))
        await listener.hears(8)
        await running.polled("tickets", 3)
        assert {letter.body["id"]: letter.body["notes"] for letter in listener.letters} == {
            ticket: [row["note"] for row in reversed(list(halo.store.rows("actions", ticket)))] for ticket in range(1, 9)
        }
        assert len(halo.journal.received("GET", "/Actions")) == 8
        note(halo, 3)
        await listener.hears(9)
        await running.polled("tickets", 3)
        assert listener.letters[-1].body["notes"][:2] == ["New", "New"]
        assert Counter(request.query["ticket_id"] for request in halo.journal.received("GET", "/Actions")) == Counter(map(str, [1, 2, 3, 4, 5, 6, 7, 8, 3]))


async def test_a_list_that_halo_refuses_parks_its_record_and_replay_asks_again(memory_job, halos):
    halo = await halos(tickets=5)
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Actions", nth=2, times=1, status=403))
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(include=INCLUDE)}))
    await running.polled("tickets", 3, "complete")
    assert await memory_job.other.depth(EVENTS) == 4
    [parked] = await memory_job.other.drain("halo.dead.tickets")
    assert parked.headers["dead-class"] == "auth"
    assert parked.headers["dead-reason"].startswith("its `actions`: Halo answered 403")


async def test_a_list_that_halo_does_not_answer_fails_the_poll_and_the_next_one_asks_again(memory_job, halos):
    halo = await halos(tickets=5)
    planned = halo.fault(Fault(FaultKind.ANSWER, "GET", "/Actions", nth=3, times=None, status=500))
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(include=INCLUDE)}), ready=False)
    await running.polled("tickets", 1, "failed")
    halo.faults.remove(planned.number)
    await running.polled("tickets", 2, "complete")
    letters = await memory_job.other.drain(EVENTS)
    assert sorted(letter.body["id"] for letter in letters) == [1, 2, 3, 4, 5]
    assert all(letter.body["actions"] for letter in letters)
