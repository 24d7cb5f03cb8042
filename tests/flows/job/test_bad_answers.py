"""A list that comes back broken moves no cursor: the poll says what was wrong, and the next good one catches up."""

from __future__ import annotations

import pytest

from tests.tools.job import listening, routes, subscriber
from worker.sandbox.faults import Fault, FaultKind

MEBIBYTE = 1024 * 1024


def on_tickets(does, **more):
    return Fault(does, "GET", "/Tickets", **({"times": None} | more))


BROKEN = {
    "a web page": (on_tickets(FaultKind.HTML), "failed"),
    "a cut body": (on_tickets(FaultKind.CUT), "failed"),
    "a reset": (on_tickets(FaultKind.RESET), "failed"),
    "500": (on_tickets(FaultKind.ANSWER, status=500), "failed"),
    "403": (on_tickets(FaultKind.ANSWER, status=403), "failed"),
    "404": (on_tickets(FaultKind.ANSWER, status=404), "failed"),
    "an object that is no list": (on_tickets(FaultKind.ANSWER, status=200, body="json", text='{"message": "no list"}'), "failed"),
    "a number": (on_tickets(FaultKind.ANSWER, status=200, body="json", text="42"), "failed"),
    "JSON too deep": (on_tickets(FaultKind.ANSWER, status=200, body="json", text="[" * 5000), "failed"),
    "70 MB": (on_tickets(FaultKind.HUGE, size=70 * MEBIBYTE), "failed"),
    "a bomb": (on_tickets(FaultKind.BOMB, size=100 * MEBIBYTE), "failed"),
    "a redirect": (on_tickets(FaultKind.REDIRECT), "failed"),
    "the first page for ever": (on_tickets(FaultKind.REPEAT_PAGE), "incomplete"),
    "a count that is too high": (on_tickets(FaultKind.WRONG_COUNT, size=500), "incomplete"),
}


@pytest.mark.parametrize(("fault", "result"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_poll_that_meets_a_broken_list_says_so_and_the_next_good_one_catches_up(memory_job, halos, fault, result):
    halo = await halos(tickets=20, page_cap=8)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(queue=None, overlap="1d")}))
        await listener.hears(20)
        for number in range(1, 13):
            halo.store.update("tickets", number, {"summary": f"before {number}"})
        await listener.hears(32)
        planned = halo.fault(fault)
        halo.store.update("tickets", 5, {"summary": "during"})
        await running.polled("tickets", 3, result)
        if result == "failed":
            await running.until(lambda: "polls in a row failed" in running.service.health.parts["subscriber tickets"].detail)
        assert running.service.health.ready == (result != "failed")
        halo.faults.remove(planned.number)
        await running.polled("tickets", 2, "complete")
        await running.ready()
        assert [letter.body["summary"] for letter in listener.letters if letter.body["id"] == 5][-1] == "during"
        assert len(listener.letters) == len(listener.keys) == 33


async def test_36_megabytes_in_one_answer_are_read(memory_job, halos):
    halo = await halos(tickets=20)
    halo.fault(Fault(FaultKind.HUGE, "GET", "/Tickets", times=1))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(queue=None)}))
        await listener.hears(20)
        await running.polled("tickets", 2)
        assert running.polls("tickets", "failed", "incomplete") == 0
        assert len(listener.letters) == 20


async def test_pages_without_end_end(memory_job, halos):
    halo = await halos(tickets=60, page_cap=5)
    halo.fault(Fault(FaultKind.ENDLESS_PAGES, "GET", "/Supplier", times=None))
    suppliers = {row["id"] for row in halo.store.rows("supplier")}
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"list": subscriber(entity="Supplier", queue=None)}))
        await running.polled("list", 2)
        assert listener.ids == suppliers
        assert len(listener.letters) == len(suppliers)
        assert len(halo.journal.received("GET", "/Supplier")) < 40


async def test_a_first_scan_that_meets_failures_half_way_ends_without_publishing_twice(job, halos):
    halo = await halos(tickets=40, page_cap=10)
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets", nth=3, times=2, status=500))
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers={"tickets": subscriber(queue=None)}))
        await listener.hears(40)
        await running.polled("tickets", 2, "complete")
        assert running.polls("tickets", "failed") == 0
        assert listener.ids == set(range(1, 41))
        assert len(listener.letters) == 40
