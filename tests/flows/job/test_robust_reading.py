"""Single failures of Halo hold up nothing: pages are read again within the scan, and a record that is refused is parked while the others go on."""

from __future__ import annotations

import pytest

from tests.tools.job import EVENTS, listening, routes, subscriber
from tests.tools.waiting import until
from worker.sandbox.faults import Fault, FaultKind

PAGES, PAGE = 500, 2
DEAD = "halo.dead.tickets"
PART = "subscriber tickets"


def detail(running):
    part = running.service.health.parts.get(PART)
    return "" if part is None else part.detail


def failures(running):
    """How many polls in a row readiness says have failed."""
    return int(detail(running).split()[0]) if "polls in a row failed" in detail(running) else 0


def refusing(number, status, **more):
    return Fault(FaultKind.ANSWER, "GET", f"/Tickets/{number}", **({"times": None, "status": status} | more))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
async def test_a_scan_of_500_pages_at_1_percent_errors_of_every_kind_ends_in_one_poll(memory_job, halos, seed):
    halo = await halos(tickets=PAGES * PAGE, page_cap=PAGE)
    one_in_500 = {"method": "GET", "path": "/Tickets", "times": None, "probability": 0.002}
    kinds = [
        {"does": FaultKind.ANSWER, "status": 500},
        {"does": FaultKind.ANSWER, "status": 503},
        {"does": FaultKind.HTML},
        {"does": FaultKind.CUT},
        {"does": FaultKind.HOLD},  # until the client gives up
    ]
    faults = [halo.fault(Fault(**kind, **one_in_500, seed=10 * seed + number)) for number, kind in enumerate(kinds)]
    definition = routes(halo, subscribers={"tickets": subscriber(queue=None, every="1h")}, timeout="300ms")
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(definition)
        await listener.hears(PAGES * PAGE)
        await running.until(lambda: running.polls("tickets") == 1)
        assert running.polls("tickets", "complete") == 1
        assert sum(fault.struck for fault in faults) > 0
        assert len(listener.letters) == len(listener.keys) == PAGES * PAGE
        for fault in faults:
            halo.faults.remove(fault.number)


@pytest.mark.parametrize(("status", "dead_class"), [(403, "auth"), (404, "rejected"), (400, "rejected")])
async def test_a_record_whose_details_are_refused_is_parked_once_and_the_others_go_on(job, halos, status, dead_class):
    halo = await halos(tickets=20)
    halo.fault(refusing(7, status))
    running = await job.start(routes(halo, subscribers={"tickets": subscriber(details=True, every="20ms", changes="by_content")}))
    letters = await job.other.take_all(EVENTS, 19)
    await running.polled("tickets", 4)
    assert sorted(letter.body["id"] for letter in letters + await job.other.drain(EVENTS)) == [number for number in range(1, 21) if number != 7]
    [parked] = await job.other.drain(DEAD)
    assert (parked.headers["dead-class"], parked.headers["dead-status"], parked.headers["record"]) == (dead_class, status, "7")
    assert f"Halo answered {status}" in parked.headers["dead-reason"]
    assert parked.body["id"] == 7
    assert running.polls("tickets", "failed") == 0
    assert running.value("parked_records_total", route="tickets") == 1
    assert len(halo.journal.received("GET", "/Tickets/7")) == 1, "it is not asked for again until it changes"


async def test_a_record_that_is_refused_is_parked_once_also_where_every_poll_publishes_every_record(memory_job, halos):
    halo = await halos(tickets=5)
    halo.fault(refusing(3, 403))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(details=True, queue=None, every="20ms", changes="all")}))
        await listener.hears(12)
        await running.polled("tickets", 2)
        assert listener.ids == {1, 2, 4, 5}
    assert await memory_job.other.depth(DEAD) == 1


async def test_a_parked_record_is_published_once_it_changes_and_halo_gives_it(memory_job, halos):
    halo = await halos(tickets=5)
    refused = halo.fault(refusing(3, 403))
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(details=True)}))
    await memory_job.other.take_all(EVENTS, 4)
    await running.polled("tickets", 1)
    halo.faults.remove(refused.number)
    halo.store.update("tickets", 3, {"summary": "mended"})
    [letter] = await memory_job.other.take_all(EVENTS, 1)
    assert (letter.body["id"], letter.body["summary"]) == (3, "mended")


async def test_a_record_that_halo_cannot_answer_holds_up_no_other_and_is_parked_after_some_polls(memory_job, halos):
    halo = await halos(tickets=20)
    halo.fault(refusing(7, 500))
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(details=True, every="20ms")}))
    letters = await memory_job.other.take_all(EVENTS, 19)
    parked = await memory_job.other.take(DEAD)
    assert 7 not in {letter.body["id"] for letter in letters}
    assert (parked.headers["dead-class"], parked.headers["dead-status"], parked.headers["record"]) == ("retries_exhausted", 500, "7")
    await running.polled("tickets", 2, "complete")
    assert running.polls("tickets", "failed") == 3
    await running.ready()
    assert running.value("failed_polls_in_a_row", route="tickets") == 0


async def test_a_missing_permission_for_all_details_parks_nothing_and_is_told(memory_job, halos):
    halo = await halos(tickets=20)
    refused = halo.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets/*", times=None, status=403))
    running = await memory_job.start(routes(halo, subscribers={"tickets": subscriber(details=True, every="20ms")}), ready=False)
    await running.polled("tickets", 2, "failed")
    assert "refuses every record" in detail(running)
    assert await memory_job.other.depth(DEAD) == 0
    halo.faults.remove(refused.number)

    async def all_accounted_for():
        return await memory_job.other.depth(EVENTS) + await memory_job.other.depth(DEAD) == 20

    await until(all_accounted_for)
    assert await memory_job.other.depth(DEAD) < 10, "only what the poll asked for before the permission came"


async def test_readiness_and_a_metric_say_how_many_polls_failed_in_a_row_and_why(job, halos):
    halo = await halos(tickets=5)
    refused = halo.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets", times=None, status=403))
    running = await job.start(routes(halo, subscribers={"tickets": subscriber(every="20ms")}), ready=False)
    await running.until(lambda: failures(running) > 0)
    assert failures(running) >= 3
    assert "polls in a row failed, the last one: Halo answered 403" in detail(running)
    await running.until(lambda: failures(running) >= 5)
    assert running.value("failed_polls_in_a_row", route="tickets") >= 5
    await running.stop()

    again = await job.start(routes(halo, subscribers={"tickets": subscriber(every="20ms")}), ready=False)
    await again.until(lambda: failures(again) > 0)
    assert failures(again) > 5, "a restart does not begin to count again"
    halo.faults.remove(refused.number)
    await again.ready()
    await again.polled("tickets", 1, "complete")
    assert again.value("failed_polls_in_a_row", route="tickets") == 0
