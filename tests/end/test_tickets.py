"""Tickets of Halo become events on a real RabbitMQ, exactly, over pages, restarts and crashes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tests.tools.job import EVENTS, listening, routes, subscriber
from tests.tools.waiting import SOON, soon, until
from worker.flows.polling.poll import HELD_PAGES
from worker.sandbox.faults import Fault, FaultKind


def pages(halo):
    """The numbers of the pages that were read, in order."""
    return [int(entry.query.get("page_no", 0)) for entry in halo.journal.executed("GET", "/Tickets")]


async def polls(worker, more, within=SOON):
    """Until this many further polls ended."""
    before = len(worker.log("poll.ended"))

    async def enough():
        return len(worker.log("poll.ended")) >= before + more

    await until(enough, within)


async def test_250_tickets_through_pages_of_100_become_250_events_and_10_changes_become_10(halos, stage, broker, other):
    halo = await halos(tickets=250)
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}))
        await listener.hears(250)
        assert set(pages(halo)) >= {1, 2, 3}
        await polls(worker, 2)
        assert listener.ids == set(range(1, 251))
        assert len(listener.letters) == len(listener.keys) == 250
        assert {letter.change for letter in listener.letters} == {"created"}

        for number in range(1, 8):
            halo.store.update("tickets", number * 30, {"summary": f"changed {number}"})
        born = [halo.store.create("tickets", {"summary": f"new {number}"})["id"] for number in range(3)]
        await listener.hears(260)
        await polls(worker, 3)
        assert len(listener.letters) == 260
        new = listener.letters[250:]
        assert Counter((letter.change, letter.body["id"]) for letter in new) == Counter(
            [("updated", number * 30) for number in range(1, 8)] + [("created", key) for key in born]
        )
        assert {letter.routing_key for letter in new} == {"tickets.updated", "tickets.created"}

        await worker.stop()
        again = await stage.start(name="again")
        await polls(again, 3)
        assert len(listener.letters) == 260


async def test_with_start_now_only_what_changes_later_is_published(halos, stage, broker):
    halo = await halos(tickets=120)
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(start="now")}))
        await polls(worker, 2)
        assert listener.letters == []
        halo.store.update("tickets", 7, {"summary": "later"})
        born = halo.store.create("tickets", {"summary": "new"})["id"]
        await listener.hears(2)
        await polls(worker, 2)
        assert {(letter.change, letter.body["id"]) for letter in listener.letters} == {("updated", 7), ("created", born)}
        assert len(listener.letters) == 2


async def test_with_a_date_to_start_from_only_what_changed_since_is_published(halos, stage, broker):
    halo = await halos(tickets=40)
    since = halo.clock() - timedelta(days=1)
    for number in range(1, 41):
        halo.store.update("tickets", number, {"summary": "old"}, stamp=since - timedelta(days=number))
    for number in (3, 4, 5):
        halo.store.update("tickets", number, {"summary": "recent"}, stamp=since + timedelta(hours=number))
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(start=since.isoformat())}))
        await listener.hears(3)
        await polls(worker, 2)
        assert sorted(letter.body["id"] for letter in listener.letters) == [3, 4, 5]


async def test_a_worker_killed_between_confirm_and_baton_publishes_the_same_keys_again_and_loses_none(halos, stage, broker):
    halo = await halos(tickets=1250)
    held = halo.fault(Fault(FaultKind.HOLD, "GET", "/Tickets", nth=HELD_PAGES + 3, times=1))  # ten of twelve pages are held back, two published
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), ready=False)
        await soon(held.arrived.wait())
        await listener.hears(150)  # the first page and the last are confirmed, the baton has not moved
        await worker.kill()
        halo.faults.clear()
        before = listener.keys
        assert len(before) == 150

        again = await stage.start(name="again")
        await listener.hears(150 + 1250)
        await polls(again, 2)
        assert listener.ids == set(range(1, 1251))
        assert len(listener.letters) == 150 + 1250
        assert len(listener.keys) == 1250
        assert {key for key, count in listener.keys.items() if count > 1} == set(before)


async def test_the_events_wait_in_the_queue_of_the_route_and_carry_what_cloudevents_asks_for(halos, stage, other):
    halo = await halos(tickets=3)
    await stage.start(routes(halo, subscribers={"tickets": subscriber()}))
    letters = await other.take_all(EVENTS, 3)
    letter = next(letter for letter in letters if letter.body["id"] == 2)
    headers = letter.headers
    assert headers["cloudEvents_specversion"] == "1.0"
    assert headers["cloudEvents_id"] == headers["dedupe-key"]
    assert headers["cloudEvents_source"] == f"{halo.url}/api/Tickets"
    assert headers["cloudEvents_type"] == "com.haloitsm.tickets.created"
    assert headers["cloudEvents_subject"] == "2"
    assert headers["cloudEvents_time"].endswith("Z")
    assert len({letter.message.message_id for letter in letters}) == 3
    assert (letter.exchange, letter.routing_key) == ("halo", "tickets.created")
