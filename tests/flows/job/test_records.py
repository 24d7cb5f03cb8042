"""Records on their way into the broker: filters, transforms that fail, and events that no queue takes."""

from __future__ import annotations

import pytest

from tests.tools.job import EVENTS, listening, routes, subscriber
from worker.core.topology import UNROUTED

PERSON = "Marie Marker"


def numbers_as_summary(halo, *, but=()):
    for row in list(halo.store.rows("tickets")):
        halo.store.update("tickets", row["id"], {"summary": PERSON if row["id"] in but else str(row["id"])})


async def test_a_record_whose_transform_fails_is_parked_with_its_reason_and_the_others_of_its_page_go_on(job, halos):
    halo = await halos(tickets=20)
    numbers_as_summary(halo, but={7})
    definition = subscriber(transform={"id": "{{ id }}", "n": "{{ $number(summary) }}"})
    running = await job.start(routes(halo, subscribers={"tickets": definition}))
    letters = await job.other.take_all(EVENTS, 19)
    await running.polled("tickets", 3)
    letters += await job.other.drain(EVENTS)
    assert sorted(letter.body["n"] for letter in letters) == [number for number in range(1, 21) if number != 7]
    [parked] = await job.other.drain("halo.dead.tickets")
    assert parked.body["summary"] == PERSON
    headers = parked.headers
    assert (headers["dead-class"], headers["dead-route"], headers["record"], headers["change"]) == ("transform", "tickets", "7", "created")
    assert "cannot be turned into a number" in headers["dead-reason"]
    assert PERSON not in str(headers)
    assert running.value("parked_records_total", route="tickets") == 1


async def test_a_parked_record_is_published_once_somebody_mends_it_in_halo(memory_job, halos):
    halo = await halos(tickets=5)
    numbers_as_summary(halo, but={3})
    definition = subscriber(transform={"id": "{{ id }}", "n": "{{ $number(summary) }}"})
    running = await memory_job.start(routes(halo, subscribers={"tickets": definition}))
    await running.polled("tickets", 2)
    halo.store.update("tickets", 3, {"summary": "3"})
    letters = await memory_job.other.take_all(EVENTS, 5)
    assert sorted(letter.body["n"] for letter in letters) == [1, 2, 3, 4, 5]


async def test_only_what_the_route_wants_is_published(memory_job, halos):
    halo = await halos(tickets=20)
    numbers_as_summary(halo)
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(when="{{ $number(summary) > 15 }}")}))
    letters = await memory_job.other.take_all(EVENTS, 5)
    await running.polled("tickets", 2)
    assert sorted(letter.body["id"] for letter in letters + await memory_job.other.drain(EVENTS)) == [16, 17, 18, 19, 20]


async def test_a_filter_that_fails_parks_the_record(memory_job, halos):
    halo = await halos(tickets=5)
    numbers_as_summary(halo, but={2})
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(when="$number(summary) > 0")}))
    await running.polled("tickets", 2)
    assert len(await memory_job.other.drain(EVENTS)) == 4
    [parked] = await memory_job.other.drain("halo.dead.tickets")
    assert (parked.headers["dead-class"], parked.headers["record"]) == ("transform", "2")


async def test_events_that_no_queue_takes_are_parked_where_they_can_be_found(job, halos):
    halo = await halos(tickets=4)
    running = await job.start(routes(halo, subscribers={"tickets": subscriber(queue=None, publish={"exchange": "nobody"})}))
    letters = await job.other.take_all(UNROUTED, 4)
    assert {letter.body["id"] for letter in letters} == {1, 2, 3, 4}
    assert {(letter.headers["original-exchange"], letter.headers["original-routing-key"]) for letter in letters} == {("nobody", "tickets.created")}
    assert all(letter.key.startswith("main/") for letter in letters)
    await running.polled("tickets", 2)
    assert await job.other.depth(UNROUTED) == 0, "parked once is dealt with"
    assert running.value("unrouted_events_total", route="tickets") == 4


async def test_a_route_that_is_to_stop_keeps_its_cursor_until_a_queue_takes_its_events(job, halos):
    halo = await halos(tickets=4)
    definition = subscriber(queue=None, publish={"exchange": "nobody"}, unrouted="stop")
    running = await job.start(routes(halo, subscribers={"tickets": definition}))
    await running.polled("tickets", 2, "failed")
    assert running.polls("tickets", "complete") == 0
    assert await job.other.depth(UNROUTED) == 0
    assert "no queue takes" in running.service.health.parts["subscriber tickets"].detail
    async with listening(job.other.broker, exchange="nobody") as listener:
        await listener.hears(4)
        await running.polled("tickets", 2, "complete")
        assert listener.ids == {1, 2, 3, 4}
        assert len(listener.keys) == 4


async def test_a_route_that_is_to_drop_lets_them_go_and_counts_them(memory_job, halos):
    halo = await halos(tickets=4)
    definition = subscriber(queue=None, publish={"exchange": "nobody"}, unrouted="drop")
    running = await memory_job.start(routes(halo, subscribers={"tickets": definition}))
    await running.polled("tickets", 2, "complete")
    assert await memory_job.other.depth(UNROUTED) == 0
    assert running.value("unrouted_events_total", route="tickets") == 4


@pytest.mark.parametrize("key", ["tickets.{{ $change }}.{{ id }}", "{{ 'tickets.' & $change & '.' & $string(id) }}"])
async def test_the_routing_key_may_come_from_the_record(memory_job, halos, key):
    halo = await halos(tickets=2)
    await memory_job.start(routes(halo, subscribers={"tickets": subscriber(publish={"exchange": "halo", "routing_key": key})}))
    letters = await memory_job.other.take_all(EVENTS, 2)
    assert {letter.routing_key for letter in letters} == {"tickets.created.1", "tickets.created.2"}


async def test_details_fetch_each_changed_record_whole(memory_job, halos):
    halo = await halos(tickets=3)
    await memory_job.start(routes(halo, subscribers={"tickets": subscriber(details=True)}))
    letters = await memory_job.other.take_all(EVENTS, 3)
    assert {entry.path for entry in halo.journal.received("GET", "/Tickets/*")} == {f"/api/Tickets/{number}" for number in (1, 2, 3)}
    assert all("customfields" in letter.body for letter in letters)


async def test_a_route_that_wants_everything_publishes_every_record_at_every_poll(memory_job, halos):
    halo = await halos(tickets=3)
    async with listening(memory_job.other.broker) as listener:
        await memory_job.start(routes(halo, subscribers={"tickets": subscriber(queue=None, changes="all")}))
        await listener.hears(9)
        assert {letter.change for letter in listener.letters} == {"updated"}
        assert len(listener.keys) == len(listener.letters)
