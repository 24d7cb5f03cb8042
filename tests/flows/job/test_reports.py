"""`report`: rows of Halo's database by SQL. Each change once, in as few requests as there can be."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.flows.job.test_for_each import fill
from tests.tools.job import EVENTS, client, listening, routes
from worker.sandbox.faults import Fault, FaultKind

NOTES = """SELECT TOP 50000 faultid AS ticket_id, actionnumber AS id, actiondatecreated AS changed, note FROM actions
WHERE actiondatecreated >= '{{ $cursor }}' ORDER BY actiondatecreated"""
TYPES = {"ticket_id": "int", "id": "int", "changed": "time"}


def report(sql=NOTES, *, cursor="changed", types=TYPES, **more):
    given = {"sql": sql, "types": types} | ({"cursor": cursor} if cursor else {})
    return {"notes": {"client": "main", "report": given, "key": ["ticket_id", "id"], "every": "50ms", "start": "beginning", "queue": EVENTS} | more}


def told(listener):
    return Counter((letter.change, letter.body["ticket_id"], letter.body["id"]) for letter in listener.letters)


def notes_of(halo):
    tickets = [row["id"] for row in halo.store.rows("Tickets")]
    return Counter(("created", ticket, row["id"]) for ticket in tickets for row in halo.store.rows("actions", ticket))


def note(halo, ticket, text="New"):
    return halo.store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note": text})


def detail(running):
    return running.service.health.parts["subscriber notes"].detail


async def test_every_row_is_one_event_and_a_later_row_costs_one_request(job, halos):
    halo = await halos(tickets=30)
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers=report()))
        there = notes_of(halo)
        await listener.hears(there.total())
        await running.polled("notes", 2)
        assert told(listener) == there
        before = len(halo.journal.received("POST", "/Report"))
        polls = running.polls("notes")
        for ticket in (3, 3, 4):
            note(halo, ticket)
        await listener.hears(there.total() + 3)
        await running.polled("notes", 2)
        assert told(listener) == notes_of(halo)
        assert len(halo.journal.received("POST", "/Report")) - before <= running.polls("notes") - polls + 1
    letter = listener.letters[-1]
    assert letter.routing_key == "notes.created"
    assert letter.headers["cloudEvents_subject"] == f"{letter.body['ticket_id']}/{letter.body['id']}"
    assert letter.headers["cloudEvents_time"] == letter.body["changed"]
    assert isinstance(letter.body["id"], int)


async def test_a_cut_answer_goes_on_in_the_same_poll_and_ties_at_the_cut_are_neither_lost_nor_doubled(memory_job, halos):
    halo = await halos(tickets=20)
    for row in [row for ticket in range(1, 21) for row in halo.store.rows("actions", ticket)]:
        row["actiondatecreated"] = row["actiondatecreated"].replace(minute=0, second=0, microsecond=0)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=report(NOTES.replace("50000", "7"))))
        there = notes_of(halo)
        await running.polled("notes", 1, "complete")
        await listener.hears(there.total())
        assert told(listener) == there
        assert running.polls("notes", "failed", "incomplete") == 0


async def test_more_rows_of_one_time_than_an_answer_holds_are_told_and_do_not_move_the_cursor(memory_job, halos):
    halo = await halos(tickets=3)
    async with listening(memory_job.other.broker):
        running = await memory_job.start(routes(halo, subscribers=report(NOTES.replace("50000", "4"))))
        await running.polled("notes", 1, "complete")
        stamp = halo.clock()
        for number in range(6):
            note(halo, 1, f"number {number}")["actiondatecreated"] = stamp
        await running.polled("notes", 1, "incomplete")
        await running.until(lambda: "have one time in the column of `cursor`" in detail(running))  # while it polls again it says that


@pytest.mark.parametrize("status", [504, 500])
async def test_a_report_that_takes_too_long_is_asked_once_a_poll(memory_job, halos, status):
    halo = await halos(tickets=3)
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Report", times=None, status=status))
    running = await memory_job.start(routes(halo, subscribers=report(every="1h")), ready=False)
    await running.until(lambda: running.polls("notes", "failed") == 1)
    assert len(halo.journal.received("POST", "/Report")) == 1


async def test_a_statement_that_halo_refuses_fails_the_poll_with_its_words_and_is_asked_once(memory_job, halos):
    halo = await halos(tickets=3)
    running = await memory_job.start(routes(halo, subscribers=report(NOTES.replace("note FROM", "nothing FROM"), every="1h")))
    await running.until(lambda: running.polls("notes", "failed") == 1)
    assert len(halo.journal.received("POST", "/Report")) == 1
    assert "Halo refuses the statement: Incorrect syntax near 'nothing'." in detail(running)


async def test_a_cell_that_does_not_fit_its_type_parks_its_row_and_no_other(memory_job, halos):
    halo = await halos(tickets=4)
    types = TYPES | {"note": "int"}
    for ticket in range(1, 5):
        for row in halo.store.rows("actions", ticket):
            row["note"] = "12"
    odd = note(halo, 2, "about 12")
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=report(types=types)))
        there = notes_of(halo)
        await listener.hears(there.total() - 1)
        await running.polled("notes", 3)
        assert told(listener) == there - Counter([("created", 2, odd["id"])])
        assert {letter.body["note"] for letter in listener.letters} == {12}
    [parked] = await memory_job.other.drain("halo.dead.notes")
    assert parked.body["id"] == str(odd["id"])
    assert parked.headers["dead-reason"] == "column `note` is not a whole number such as 12"


async def test_two_rows_with_one_key_and_different_content_publish_nothing_and_name_the_key(memory_job, halos):
    halo = await halos(tickets=6)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=report(key=["ticket_id"])), ready=False)
        await running.polled("notes", 2, "incomplete")
        assert listener.letters == []
        assert running.value("ambiguous_keys_total", route="notes", key="ticket_id") >= 2


async def test_without_a_cursor_the_whole_table_is_compared_and_deletions_are_told(memory_job, halos):
    halo = await halos(tickets=12)
    sql = "SELECT faultid AS id, symptom AS summary FROM faults"
    route = report(sql, cursor=None, types={"id": "int"}, key=["id"], entity="Tickets", deletes=True)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=route))
        await listener.hears(12)
        halo.store.update("Tickets", 3, {"summary": "Changed"})
        halo.store.delete("Tickets", 5)
        await listener.hears(14)
        await running.polled("notes", 2)
        assert [(letter.change, letter.body["id"]) for letter in listener.letters[12:]] == [("updated", 3), ("deleted", 5)]
        assert listener.letters[13].routing_key == "tickets.deleted"


async def test_missing_scopes_are_told_with_the_remedy(memory_job, halos):
    halo = await halos(tickets=3, scopes=("read:tickets",))
    auth = client(halo)["auth"] | {"scopes": ["read:tickets"]}
    running = await memory_job.start(routes(halo, subscribers=report(), auth=auth), ready=False)
    await running.polled("notes", 3, "failed")
    assert "read:reporting and edit:reporting" in detail(running)
    assert "for_each" in detail(running)


@pytest.mark.long
async def test_20000_notes_each_once_then_five_new_ones_in_at_most_two_requests(memory_job, halos):
    halo = await halos(tickets=2000)
    fill(halo, per_ticket=10)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=report(NOTES.replace("50000", "5000"), every="2s")))
        there = notes_of(halo)
        assert there.total() == 20_000
        await listener.hears(20_000)
        await running.polled("notes", 2, "complete")
        assert told(listener) == there
        before, polls = len(halo.journal.received("POST", "/Report")), running.polls("notes")
        new = [note(halo, ticket) for ticket in (5, 50, 500, 1000, 2000)]
        await listener.hears(20_005)
        requests = len(halo.journal.received("POST", "/Report")) - before - (running.polls("notes") - polls)
        assert requests <= 2, "besides polls that ended before"
        await running.polled("notes", 1, "complete")
        assert told(listener) - there == Counter(("created", row["ticket_id"], row["id"]) for row in new)
