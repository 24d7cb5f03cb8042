"""History is read between polls: every record once, at its own place in the budget, from where it was when a worker dies."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.flows.backfill.conftest import begin, ended, keys_of, state
from tests.tools.job import listening, publisher, routes, subscriber
from tests.tools.sizes import ON_BOTH_BROKERS
from tests.tools.waiting import SOON, until
from worker.core.exchange import Priority
from worker.halo.client import HaloClient
from worker.sandbox.faults import Fault, FaultKind

LIVE = {"start": "now", "every": "500ms"}


async def known(job, halos, count, **more):
    """A worker that has learnt the list."""
    halo = await halos(tickets=count)
    running = await job.start(routes(halo, subscribers={"feed": subscriber(**LIVE | more)}))
    await running.until(lambda: running.polls("feed", "complete") >= 1)
    return halo, running


@ON_BOTH_BROKERS
async def test_every_record_is_published_once_and_says_that_it_is_history(job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.polling.backfilling.PAGE_OVERRUN", SOON)  # a page that is cut off by the next poll is published again
    async with listening(job.other.broker, "heard") as listener:
        _, running = await known(job, halos, 450)
        await begin(job.other.broker)
        found = await ended(job.other.broker)
        assert (found.state, found.published, found.rows, found.share) == ("done", 450, 450, 1.0)
        await listener.hears(450)
        assert listener.ids == set(range(1, 451))
        assert set(listener.keys.values()) == {1}
        letter = listener.letters[0]
        assert (letter.routing_key, letter.headers["cloudEvents_type"]) == ("tickets.backfilled", "com.haloitsm.tickets.backfilled")
        assert letter.headers["cloudEvents_backfill"] == "b1"
        assert running.value("events_total", route="feed", change="backfilled") == 450
        assert running.service.health.ready


async def test_a_list_whose_last_page_is_full_is_published_once(memory_job, halos):
    async with listening(memory_job.other.broker, "heard") as listener:
        await known(memory_job, halos, 200, every="1h")
        await begin(memory_job.other.broker)
        found = await ended(memory_job.other.broker)
        assert (found.state, found.published, found.rows) == ("done", 200, 200)
        await listener.hears(200)
        assert set(listener.keys.values()) == {1}


async def test_what_changes_meanwhile_is_live_work_and_what_is_history_is_not_published_again(job, halos):
    async with listening(job.other.broker, "heard") as listener:
        halo, running = await known(job, halos, 450)
        halo.fault(Fault(FaultKind.DELAY, "GET", "/Tickets", times=6, seconds=0.2))
        await begin(job.other.broker)
        await running.until(lambda: running.value("events_total", route="feed", change="backfilled") > 0)
        halo.store.update("tickets", 7, {"summary": "changed meanwhile"})
        await running.until(lambda: running.value("events_total", route="feed", change="updated") == 1)
        await ended(job.other.broker)
        await running.polled("feed", 2, "complete")
        assert listener.ids == set(range(1, 451))
        assert [letter.body["id"] for letter in listener.letters if letter.change != "backfilled"] == [7]


async def test_a_worker_that_dies_five_times_goes_on_from_its_page(job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.polling.backfilling.TURN_SECONDS", 0.0)  # a turn is one page
    async with listening(job.other.broker, "heard") as listener:
        halo, running = await known(job, halos, 1500, every="1h")
        await begin(job.other.broker)
        for _ in range(5):
            await killed_after(running, 100)
            running = await job.start(routes(halo, subscribers={"feed": subscriber(**LIVE | {"every": "1h"})}), ready=False)
        found = await ended(job.other.broker)
        assert found.state == "done"
        assert listener.ids == set(range(1, 1501))
        read = [each for each in halo.journal.received("GET", "/Tickets") if each.query.get("lastupdatetodate")]
        assert len(read) <= 16 + 5 * 2
        repeated = sum(count - 1 for count in keys_of(listener.letters).values())
        assert repeated <= 5 * 100


async def killed_after(running, events):
    """Its task is cancelled in the middle of whatever it does."""
    await running.until(lambda: running.value("events_total", route="feed", change="backfilled") >= events)
    running.task.cancel()
    await asyncio.gather(running.task, return_exceptions=True)
    running.task = asyncio.create_task(asyncio.sleep(0))  # nothing is left to stop


async def test_only_what_was_updated_since_is_history(job, halos):
    halo, _ = await known(job, halos, 30)
    halo.store.update("tickets", 3, {"summary": "new"})
    await job.other.take("events")
    await begin(job.other.broker, since=datetime.now(UTC) - timedelta(seconds=30))
    found = await ended(job.other.broker)
    assert found.published == 1
    assert (await job.other.take("events")).body["id"] == 3


async def test_a_list_without_dates_is_read_whole(memory_job, halos):
    halo, _ = await known(memory_job, halos, 5, entity="Team", changes="by_content")
    await begin(memory_job.other.broker)
    found = await ended(memory_job.other.broker)
    assert found.state == "done"
    assert found.published == len(list(halo.store.rows("team"))) > 0


async def test_a_page_that_fails_is_told_and_read_again(memory_job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.polling.subscriber.pause_after", lambda _: 0.05)
    halo, _ = await known(memory_job, halos, 250, every="1h")
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets", times=5, status=403))
    await begin(memory_job.other.broker)
    seen = []

    async def failing() -> bool:
        seen.append(await state(memory_job.other.broker))
        return any(each is not None and each.failures for each in seen)

    await until(failing)
    assert "403" in next(each.reason for each in seen if each is not None and each.failures)
    found = await ended(memory_job.other.broker)
    assert (found.state, found.published, found.failures) == ("done", 250, 0)


async def test_details_are_fetched_and_what_halo_refuses_is_parked(memory_job, halos):
    halo, _ = await known(memory_job, halos, 30, details=True)
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets/7", times=None, status=404))
    await begin(memory_job.other.broker)
    found = await ended(memory_job.other.broker)
    assert (found.state, found.published, found.rows) == ("done", 29, 30)
    letter = await memory_job.other.take("halo.dead.feed")
    assert (letter.headers["record"], letter.headers["change"]) == ("7", "backfilled")


async def test_a_backfill_takes_the_lowest_place_in_the_budget(memory_job, halos, monkeypatch):
    asked, send = [], HaloClient.send

    async def noted(self, request, *, priority):
        asked.append((request.query.get("lastupdatetodate"), priority))
        return await send(self, request, priority=priority)

    monkeypatch.setattr(HaloClient, "send", noted)
    await known(memory_job, halos, 250)
    await begin(memory_job.other.broker)
    await ended(memory_job.other.broker)
    assert {priority for closed, priority in asked if closed} == {Priority.BACKFILL}
    assert {priority for closed, priority in asked if not closed} == {Priority.POLL}


async def test_a_page_that_takes_longer_than_the_time_between_two_polls_is_read_all_the_same(memory_job, halos, monkeypatch):
    monkeypatch.setattr("worker.flows.polling.backfilling.PAGE_OVERRUN", 0.05)
    halo, _ = await known(memory_job, halos, 250, every="300ms")
    halo.fault(Fault(FaultKind.DELAY, "GET", "/Tickets", times=None, seconds=0.5))
    await begin(memory_job.other.broker)
    found = await ended(memory_job.other.broker)
    assert (found.state, found.published) == ("done", 250)


async def test_status_says_that_a_backfill_is_under_way(memory_job, halos, operator):
    halo, _ = await known(memory_job, halos, 450, every="1h")
    halo.fault(Fault(FaultKind.DELAY, "GET", "/Tickets", times=None, seconds=1.0))
    await begin(memory_job.other.broker)
    await operator.route_is("feed", state="running", reason="a backfill reads its history (`halo-worker backfill feed --status`)")
    halo.faults.clear()
    assert (await ended(memory_job.other.broker)).state == "done"


async def test_writes_go_on_beside_it(memory_job, halos):
    halo = await halos(tickets=450)
    defined = routes(halo, subscribers={"feed": subscriber(**LIVE)}, publishers={"erp": publisher()})
    running = await memory_job.start(defined)
    await running.until(lambda: running.polls("feed", "complete") >= 1)
    await begin(memory_job.other.broker)
    for number in range(20):
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.settled("erp", "done", 20)
    assert (await ended(memory_job.other.broker)).published == 450


@pytest.mark.parametrize("replicas", [2])
async def test_replicas_share_one_backfill(memory_job, halos, replicas):
    halo, first = await known(memory_job, halos, 450, every="1h")  # no poll cuts a page off
    others = [await memory_job.start(routes(halo, subscribers={"feed": subscriber(**LIVE | {"every": "1h"})})) for _ in range(replicas - 1)]
    await begin(memory_job.other.broker)
    await ended(memory_job.other.broker)
    published = [each.value("events_total", route="feed", change="backfilled") for each in (first, *others)]
    assert sum(published) == 450
