"""`for_each`: the children of changed parents, each change once, in the least number of requests."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.tools.job import EVENTS, listening, routes
from worker.core.clock import SystemClock
from worker.flows.polling.poll import Poller
from worker.sandbox.faults import Fault, FaultKind
from worker.state.cursor_admin import replace_baton, with_cursor


def children(**more):
    return {
        "client": "main",
        "entity": "Actions",
        "for_each": {"entity": "Tickets"},
        "request": {"query": {"ticket_id": "{{ $parent.id }}"}},
        "every": "100ms",
        "start": "beginning",
        "queue": EVENTS,
    } | more


def told(listener):
    return Counter((letter.change, letter.body["ticket_id"], letter.body["id"]) for letter in listener.letters)


def notes_of(halo):
    tickets = [row["id"] for row in halo.store.rows("Tickets")]
    return Counter(("created", ticket, row["id"]) for ticket in tickets for row in halo.store.rows("actions", ticket))


def note(halo, ticket, **more):
    return halo.store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note": "New"} | more)


def fill(halo, per_ticket):
    """Notes of the last weeks, so that each ticket has this many; no two tickets have them at one time."""
    for ticket in [row["id"] for row in halo.store.rows("Tickets")]:
        stamp = halo.clock() - timedelta(days=1, minutes=10 * ticket)
        for _ in range(per_ticket - len(list(halo.store.rows("actions", ticket)))):
            halo.store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note": "Old"}, stamp)


def lists(halo):
    """The reads of children so far, by ticket."""
    return Counter(request.query["ticket_id"] for request in halo.journal.received("GET", "/Actions"))


async def test_every_child_is_one_event_and_a_new_one_costs_the_read_of_its_parent(job, halos):
    halo = await halos(tickets=30, page_cap=7)
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers={"notes": children()}))
        there = notes_of(halo)
        await listener.hears(there.total())
        await running.polled("notes", 3)
        assert told(listener) == there
        assert lists(halo) == Counter(str(ticket) for ticket in range(1, 31)), "the children of each parent are read once"
        note(halo, 3)
        note(halo, 3)
        note(halo, 9)
        await listener.hears(there.total() + 3)
        await running.polled("notes", 3)
        assert told(listener) == notes_of(halo)
        assert set((lists(halo) - Counter(str(ticket) for ticket in range(1, 31))).elements()) == {"3", "9"}
    assert listener.letters[-1].routing_key == "actions.created"
    assert running.polls("notes", "failed", "incomplete") == 0


async def test_expressions_see_the_parent(memory_job, halos):
    halo = await halos(tickets=5)
    route = children(
        when="{{ $parent.id > 2 }}",
        transform={"ticket": "{{ $parent.summary }}", "note": "{{ note }}", "ticket_id": "{{ ticket_id }}", "id": "{{ id }}"},
        publish={"routing_key": "client.{{ $parent.client_id }}"},
        queue=None,
    )
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": route}))
        wanted = Counter({key: count for key, count in notes_of(halo).items() if key[1] > 2})
        await listener.hears(wanted.total())
        await running.polled("notes", 2)
        assert Counter((letter.body["ticket_id"], letter.body["id"]) for letter in listener.letters) == Counter(key[1:] for key in wanted)
        for letter in listener.letters:
            ticket = halo.store.get("Tickets", letter.body["ticket_id"])
            assert letter.body["ticket"] == ticket["summary"]
            assert letter.routing_key == f"client.{ticket['client_id']}"


async def test_with_start_now_only_children_that_are_newer_than_the_start_are_published(memory_job, halos):
    halo = await halos(tickets=20)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children(start="now")}))
        await running.polled("notes", 2)
        assert lists(halo) == Counter(), "the first scan reads no children"
        old = {(row["ticket_id"], row["id"]) for ticket in (2, 7) for row in halo.store.rows("actions", ticket)}
        new = [note(halo, 2), note(halo, 7), note(halo, 7)]
        await listener.hears(3)
        await running.polled("notes", 2)
        assert told(listener) == Counter(("created", row["ticket_id"], row["id"]) for row in new)
        halo.store.update("actions", new[0]["id"], {"note": "Edited"}, scope=2)
        halo.store.update("actions", min(key for ticket, key in old if ticket == 2), {"note": "Edited too"}, scope=2)
        await listener.hears(5)
        await running.polled("notes", 2)
        assert [letter.change for letter in listener.letters[3:]] == ["updated", "updated"]


async def test_a_failure_in_the_middle_loses_nothing_and_the_parents_that_were_read_are_not_read_again(memory_job, halos):
    halo = await halos(tickets=20)
    planned = halo.fault(Fault(FaultKind.ANSWER, "GET", "/Actions", nth=8, times=None, status=500))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children()}), ready=False)
        await running.polled("notes", 1, "failed")
        assert running.polls("notes", "complete") == 0
        halo.faults.remove(planned.number)
        there = notes_of(halo)
        await listener.hears(there.total())
        await running.polled("notes", 2, "complete")
        assert told(listener) == there
        answered = Counter(request.query["ticket_id"] for request in halo.journal.received("GET", "/Actions") if request.status == 200)
        assert set(answered.values()) == {1}


async def test_a_turn_that_ends_in_the_middle_of_a_page_goes_on_there(memory_job, halos, monkeypatch):
    halo, take_turn = await halos(tickets=25, page_cap=10), Poller.take_turn
    monkeypatch.setattr(Poller, "take_turn", lambda self, baton, known, _: take_turn(self, baton, known, lambda: True))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children(every="1h")}))
        there = notes_of(halo)
        await listener.hears(there.total())
        await running.until(lambda: running.polls("notes", "complete") == 1)
        assert told(listener) == there
        assert set(lists(halo).values()) == {1}
        assert len(halo.journal.received("GET", "/Tickets")) <= 25 + 5, "a turn reads its page again, and no other"


async def test_what_an_operator_asks_for_again_is_told_once_more_also_when_a_turn_ends_in_the_middle(memory_job, halos, monkeypatch):
    halo, take_turn = await halos(tickets=15, page_cap=10), Poller.take_turn
    monkeypatch.setattr(Poller, "take_turn", lambda self, baton, known, _: take_turn(self, baton, known, lambda: True))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children()}))
        there = notes_of(halo)
        await listener.hears(there.total())
        await running.polled("notes", 1, "complete")
        long_ago = halo.clock() - timedelta(days=1000)
        await replace_baton(memory_job.other.broker, SystemClock(), "notes", lambda baton: with_cursor(baton, long_ago), max_wait=60.0)
        await listener.hears(2 * there.total())
        await running.polled("notes", 2, "complete")
        assert Counter({key[1:]: count for key, count in told(listener).items()}) == Counter({key[1:]: 2 for key in there})
        assert len(listener.keys) == 2 * there.total(), "each by a dedupe key of its own"


async def test_a_worker_that_stops_in_the_middle_and_starts_again_reads_the_parents_that_are_left(memory_job, halos):
    halo = await halos(tickets=25, page_cap=10)
    halo.fault(Fault(FaultKind.DELAY, "GET", "/Actions", times=None, seconds=0.02))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children()}))
        there = notes_of(halo)
        await listener.hears(5)
        await running.stop()
        assert len(listener.letters) < there.total()
        read = lists(halo)
        running = await memory_job.start(routes(halo, subscribers={"notes": children()}))
        await listener.hears(there.total())
        await running.polled("notes", 1, "complete")
        assert told(listener) == there
        assert set(read.values()) == set(lists(halo).values()) == {1}


async def test_children_that_halo_refuses_park_their_parent_and_no_other(memory_job, halos):
    halo = await halos(tickets=6)
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Actions", nth=2, times=1, status=403))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children()}))
        await running.polled("notes", 3, "complete")
        [parked] = await memory_job.other.drain("halo.dead.notes")
        there = notes_of(halo)
        missing = there - told(listener)
        assert {key[1] for key in missing} == {parked.body["id"]}
        assert parked.headers["dead-class"] == "auth"
        assert parked.headers["unread-children"] is True


async def test_routes_that_share_a_parent_list_and_are_due_together_read_it_once(memory_job, halos):
    halo = await halos(tickets=12)
    both = {"notes": children(every="1h", queue="a"), "times": children(every="1h", queue="b", when="{{ timetaken > 0 }}")}
    running = await memory_job.start(routes(halo, subscribers=both))
    await running.until(lambda: running.polls("notes", "complete") == 1 and running.polls("times", "complete") == 1)
    assert len(halo.journal.received("GET", "/Tickets")) == 1


async def test_a_deleted_child_and_the_children_of_a_deleted_parent_are_told(memory_job, halos):
    halo = await halos(tickets=20)
    route = children(for_each={"entity": "Client"}, entity="Site", request={"query": {"client_id": "{{ $parent.id }}"}}, changes="by_content", deletes=True)
    for number in range(1, 5):
        client = halo.store.create("Client", {"name": f"Customer {number}"})["id"]
        for site in range(8):
            halo.store.create("Site", {"name": f"Site {site} of {client}", "client_id": client})
    sites = {row["id"]: int(row["client_id"]) for row in halo.store.rows("Site")}
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"sites": route}))
        await running.polled("sites", 1, "complete")
        await listener.hears(len(sites))
        gone = max(sites)
        halo.store.delete("Site", gone)
        halo.store.update("Client", sites[gone], {"notes": "one site less"})
        await listener.hears(len(sites) + 1)
        assert (listener.letters[-1].change, listener.letters[-1].body) == ("deleted", {"id": gone})
        parent = sites[min(sites)]
        orphans = {key for key, client in sites.items() if client == parent and key != gone}
        halo.store.delete("Client", parent)
        await listener.hears(len(sites) + 1 + len(orphans))
        await running.polled("sites", 3)
        assert {letter.body["id"] for letter in listener.letters[len(sites) + 1 :]} == orphans
        assert {letter.change for letter in listener.letters[len(sites) + 1 :]} == {"deleted"}


async def test_children_that_a_permission_hides_are_not_deleted(memory_job, halos):
    halo = await halos(tickets=10)
    for ticket in range(1, 11):
        for _ in range(10):
            note(halo, ticket)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children(deletes=True)}))
        there = notes_of(halo)
        await listener.hears(there.total())
        hidden = [(ticket, row) for ticket in range(1, 11) for row in list(halo.store.rows("actions", ticket))[::2]]
        for ticket, row in hidden:
            halo.store.table("actions", ticket).remove(row["id"])
        for ticket in range(1, 11):
            halo.store.update("Tickets", ticket, {"summary": "Changed"})
        await running.until(lambda: running.value("deletes_held", route="notes") == 1)
        await running.polled("notes", 2)
        for ticket, row in hidden:
            halo.store.table("actions", ticket).put(row["id"], row)
        await running.until(lambda: running.value("deletes_held", route="notes") == 0)
        assert told(listener) == there


@pytest.mark.long
async def test_2000_tickets_with_20000_notes_each_once_then_five_new_ones_in_six_requests(memory_job, halos):
    halo = await halos(tickets=2000)
    fill(halo, per_ticket=10)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"notes": children(every="2s")}))
        there = notes_of(halo)
        assert there.total() == 20_000
        await listener.hears(20_000, within=300)
        await running.polled("notes", 2, "complete")
        assert told(listener) == there
        parents, polls = len(halo.journal.received("GET", "/Tickets")), running.polls("notes")
        before = lists(halo)
        new = [note(halo, ticket) for ticket in (5, 50, 500, 1000, 2000)]
        await listener.hears(20_005)
        await running.polled("notes", 1, "complete")
        assert told(listener) - there == Counter(("created", row["ticket_id"], row["id"]) for row in new)
        assert (lists(halo) - before).total() == 5
        assert len(halo.journal.received("GET", "/Tickets")) - parents <= running.polls("notes") - polls + 1, "one page a poll"
