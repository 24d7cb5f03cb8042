"""Lists that cannot be filtered by date: what changed is found by content, and what is gone is told once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.tools.job import listening, routes, subscriber
from worker.sandbox.faults import Fault, FaultKind

SUPPLIERS, AGENTS = "Supplier", "Agent"


def told(listener):
    """What was told of which record, as often as it was."""
    return Counter((letter.change, letter.body["id"]) for letter in listener.letters)


def by_content(entity, **more):
    return {"list": subscriber(entity=entity, every="20ms", deletes=True, queue=None, **more)}


def ids_of(halo, entity):
    return [row["id"] for row in halo.store.rows(entity)]


@pytest.mark.parametrize("entity", [SUPPLIERS, AGENTS])
async def test_what_is_created_updated_and_deleted_in_a_list_without_dates_is_told_once_each(job, halos, entity):
    halo = await halos(tickets=60, page_cap=5)
    first = ids_of(halo, entity)
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers=by_content(entity)))
        await listener.hears(len(first))
        await running.polled("list", 3)
        assert told(listener) == Counter(("created", key) for key in first)

        changed, gone = first[1], first[-1]
        halo.store.update(entity, changed, {"name": "Another Name"})
        halo.store.delete(entity, gone)
        born = halo.store.create(entity, {"name": "New Name", "email": "new@example.com"})["id"]
        await listener.hears(len(first) + 3)
        await running.polled("list", 4)
        assert told(listener) - Counter(("created", key) for key in first) == Counter([("updated", changed), ("created", born), ("deleted", gone)])
        assert running.polls("list") == running.polls("list", "complete")
    farewell = next(letter for letter in listener.letters if letter.change == "deleted")
    assert farewell.body == {"id": gone}
    assert farewell.routing_key == f"{entity.lower()}.deleted"


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Fault(FaultKind.WRONG_COUNT, "GET", "/Supplier", times=None, size=500), "incomplete"),
        (Fault(FaultKind.REPEAT_PAGE, "GET", "/Supplier", times=None), "incomplete"),
        (Fault(FaultKind.ENDLESS_PAGES, "GET", "/Supplier", times=None), None),
        (Fault(FaultKind.ANSWER, "GET", "/Supplier", nth=2, times=None, probability=0.5, status=500), "failed"),
        (Fault(FaultKind.ANSWER, "GET", "/Supplier", times=None, status=403), "failed"),
    ],
    ids=["counts disagree", "pages repeat", "pages never end", "a 500 in the middle", "no permission"],
)
async def test_nothing_is_reported_gone_by_scans_that_are_not_complete(memory_job, halos, fault, result):
    halo = await halos(tickets=60, page_cap=5)
    ids = [halo.store.create(SUPPLIERS, {"name": f"Supplier {number}"})["id"] for number in range(12)]
    everything = ids_of(halo, SUPPLIERS)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=by_content(SUPPLIERS)))
        await listener.hears(len(everything))
        planned = halo.fault(fault)
        if result:
            await running.polled("list", 4, result)
        else:
            await running.polled("list", 4)
        assert not any(letter.change == "deleted" for letter in listener.letters)

        halo.faults.remove(planned.number)
        halo.store.delete(SUPPLIERS, ids[3])
        await listener.hears(len(everything) + 1)
        await running.polled("list", 3)
        assert told(listener) == Counter(("created", key) for key in everything) + Counter([("deleted", ids[3])])


async def test_a_record_that_one_scan_could_not_see_is_not_gone(memory_job, halos):
    halo = await halos(tickets=60)
    key = ids_of(halo, SUPPLIERS)[2]
    scans = []

    def hide_for_one_scan(received):
        if received.path == "/api/Supplier":
            scans.append(received)
            halo.store.hide(SUPPLIERS, key) if len(scans) == 5 else halo.store.show(SUPPLIERS, key)

    halo.on_request(hide_for_one_scan)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=by_content(SUPPLIERS)))
        await running.until(lambda: len(scans) >= 10)
        assert set(told(listener)) == {("created", key) for key in ids_of(halo, SUPPLIERS)}
        assert max(told(listener).values()) == 1


async def test_the_actions_of_a_ticket_are_known_by_the_ticket_and_their_number_in_it(job, halos):
    halo = await halos(tickets=10)
    for ticket in (4, 5):
        halo.store.create("actions", {"ticket_id": ticket, "outcome": "Note", "note_html": "one"})
    one, two = ([row["id"] for row in halo.store.rows("actions", ticket)] for ticket in (4, 5))
    assert set(one) & set(two), "numbers repeat from ticket to ticket"
    definition = {"entity": "Actions", "every": "20ms", "queue": None}
    subscribers = {f"of-{ticket}": subscriber(**definition, request={"query": {"ticket_id": ticket}}) for ticket in (4, 5)}
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers=subscribers))
        await listener.hears(len(one) + len(two))
        subjects = Counter(letter.headers["cloudEvents_subject"] for letter in listener.letters)
        assert subjects == Counter([f"4/{key}" for key in one] + [f"5/{key}" for key in two])

        halo.store.update("actions", one[0], {"note_html": "changed"}, scope=4)
        born = halo.store.create("actions", {"ticket_id": 5, "outcome": "Note", "note_html": "two"})["id"]
        await listener.hears(len(one) + len(two) + 2)
        await running.polled("of-4", 3)
        await running.polled("of-5", 3)
        last = {(letter.change, letter.headers["cloudEvents_subject"]) for letter in listener.letters[-2:]}
        assert last == {("updated", f"4/{one[0]}"), ("created", f"5/{born}")}
        assert len(listener.letters) == len(one) + len(two) + 2


async def test_a_restart_remembers_what_was_told_and_what_was_missed_once(job, halos):
    halo = await halos(tickets=60, page_cap=5)
    everything = ids_of(halo, SUPPLIERS)
    definition = routes(halo, subscribers=by_content(SUPPLIERS))
    async with listening(job.other.broker) as listener:
        running = await job.start(definition)
        await listener.hears(len(everything))
        await running.polled("list", 2)
        await running.stop()
        halo.store.update(SUPPLIERS, everything[0], {"name": "Changed Meanwhile"})
        halo.store.delete(SUPPLIERS, everything[1])

        again = await job.start(definition)
        await listener.hears(len(everything) + 2)
        await again.polled("list", 3)
        assert told(listener) - Counter(("created", key) for key in everything) == Counter([("updated", everything[0]), ("deleted", everything[1])])


async def test_deletions_and_changes_are_told_by_date_too_when_the_route_asks_for_deletions(memory_job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.polling.plan.FULL_SCAN_PACE", 0.1)
    halo = await halos(tickets=25, page_cap=10)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"list": subscriber(every="20ms", deletes=True, queue=None)}))
        await listener.hears(25)
        halo.store.delete("tickets", 7)
        halo.store.update("tickets", 8, {"summary": "changed"})
        await listener.hears(27)
        await running.polled("list", 3)
        assert told(listener) == Counter([("created", key) for key in range(1, 26)] + [("deleted", 7), ("updated", 8)])
