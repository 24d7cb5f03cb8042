"""What our own publishers wrote is no event, and what somebody else did is one, whenever it was."""

from __future__ import annotations

import pytest

from tests.flows.echo.conftest import stage
from tests.tools.job import EVENTS

NAMED = {"Tickets": "summary", "Asset": "inventory_number", "Client": "name", "Supplier": "name", "Agent": "name", "KBArticle": "name"}
NEW = {
    "Tickets": {"summary": "ours", "tickettype_id": 1, "client_id": 2},
    "Asset": {"inventory_number": "ours", "assettype_id": 1, "client_id": 2},
    "Client": {"name": "ours", "toplevel_id": 1},
    "Supplier": {"name": "ours"},
    "KBArticle": {"name": "ours", "description": "how"},
}
STAMPED = ("Tickets", "Asset", "Supplier")
UNSTAMPED = ("Client", "KBArticle")


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
@pytest.mark.parametrize("details", [False, True])
async def test_our_own_updates_and_creates_are_no_events_and_anothers_change_is(job, halos, entity, details):
    halo = await halos()
    scene = await stage(job, halo, entity, details=details)
    await scene.write({"id": 5, NAMED[entity]: "ours"})
    await scene.write(NEW[entity])
    [born] = halo.journal.created(f"/{entity}")
    assert await scene.quiet() == []
    assert scene.echoes() == 2
    for key in (5, born):
        halo.store.update(entity, key, {NAMED[entity]: "somebody else's"})
    assert await scene.told(2) == [("updated", 5), ("updated", born)]
    assert scene.echoes() == 2


@pytest.mark.parametrize("entity", STAMPED)
async def test_it_holds_for_lists_whose_rows_have_an_update_stamp(memory_job, halos, entity):
    halo = await halos()
    scene = await stage(memory_job, halo, entity)
    await scene.write({"id": 5, NAMED[entity]: "ours"})
    if entity in NEW:
        await scene.write(NEW[entity])
    assert await scene.quiet() == []
    assert scene.echoes() == scene.done
    halo.store.update(entity, 5, {NAMED[entity]: "somebody else's"})
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("entity", UNSTAMPED)
async def test_without_a_stamp_our_own_writes_are_published_and_after_the_first_none_is_read_or_announced(memory_job, halos, entity):
    halo = await halos()
    scene = await stage(memory_job, halo, entity)
    for number in range(3):
        await scene.write({"id": 5, NAMED[entity]: f"ours {number}"})
        assert await scene.told() == [("updated", 5)]
    assert scene.echoes() == 0
    assert len(halo.journal.received("GET", f"/{entity}/*")) == 1
    assert await memory_job.other.broker.queue_depth("halo.echoes") == 2, "the announcement of the first write, and its end"


async def test_our_own_writes_are_published_where_only_the_list_has_no_stamp(memory_job, halos):
    halo = await halos()
    scene = await stage(memory_job, halo, "Agent")
    await scene.write({"id": 5, "name": "ours"})
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
async def test_many_writes_of_ours_between_two_polls_are_no_event_either(memory_job, halos, entity):
    halo = await halos()
    scene = await stage(memory_job, halo, entity)
    async with scene.between_polls():
        for number in range(4):
            await scene.write({"id": 5, NAMED[entity]: f"ours {number}"})
        await scene.write(NEW[entity])
        [born] = halo.journal.created(f"/{entity}")
        await scene.write({"id": born, NAMED[entity]: "ours later"})
    assert await scene.quiet() == []
    assert scene.echoes() == 2, "each record was met once"


async def test_a_route_that_wants_echoes_gets_them_and_nothing_is_looked_at_for_it(memory_job, halos):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets", echo=True)
    await scene.write({"id": 5, "summary": "ours"})
    assert await scene.told() == [("updated", 5)]
    assert halo.journal.received("GET", "/Tickets/*") == []
    assert not await memory_job.other.broker.queue_exists("halo.echoes")


async def test_a_route_that_wants_everything_each_time_gets_it(memory_job, halos):
    halo = await halos(tickets=3)
    scene = await stage(memory_job, halo, "Tickets", changes="all")
    await scene.write({"id": 2, "summary": "ours"})
    await scene.job.other.drain(EVENTS)
    assert {letter.body["id"] for letter in await scene.quiet()} == {1, 2, 3}


@pytest.mark.parametrize("details", [False, True])
async def test_an_echo_costs_no_details(memory_job, halos, details):
    halo = await halos()
    scene = await stage(memory_job, halo, "Asset", details=details)
    await scene.write({"id": 5, "inventory_number": "ours"})
    assert await scene.quiet() == []
    assert len(halo.journal.received("GET", "/Asset/*")) == 1, "the look before the write"


@pytest.fixture
def hurried(monkeypatch):
    """Whole lists are read as often as windows."""
    monkeypatch.setattr("worker.flows.polling.plan.FULL_SCAN_PACE", 0.05)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("entity", ["Supplier", "Tickets"])
async def test_our_own_deletion_is_no_event_and_anothers_is(job, halos, entity):
    halo = await halos()
    scene = await stage(job, halo, entity, method="DELETE", deletes=True)
    await scene.write(None, path={"id": 4})
    await scene.running.until(lambda: scene.echoes() == 1)
    halo.store.delete(entity, 7)
    assert await scene.told(1, polls=4) == [("deleted", 7)]


async def test_a_deletion_that_somebody_was_before_us_with_is_an_event(memory_job, halos):
    halo = await halos()
    scene = await stage(memory_job, halo, "Supplier", method="DELETE", deletes=True)
    halo.store.delete("Supplier", 4)
    await scene.write(None, path={"id": 4})
    assert await scene.told() == [("deleted", 4)]


@pytest.mark.usefixtures("hurried")
async def test_what_was_brought_back_and_deleted_by_somebody_is_an_event(memory_job, halos):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets", method="DELETE", deletes=True, start="beginning")
    await scene.write(None, path={"id": 4})
    await scene.running.until(lambda: scene.echoes() == 1)
    halo.store.recover("Tickets", 4)
    halo.store.update("Tickets", 4, {"summary": "back again"})
    assert (await scene.told())[0][1] == 4
    halo.store.delete("Tickets", 4)
    assert await scene.told(1, polls=4) == [("deleted", 4)]
