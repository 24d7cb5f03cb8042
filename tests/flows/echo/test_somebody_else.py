"""Somebody else's change of a record that we write as well: it is published, however near to ours it was."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.flows.echo.conftest import WRITES, stage

OURS = {"Tickets": {"id": 5, "summary": "ours"}, "Supplier": {"id": 5, "name": "ours"}}
THEIRS = {"Tickets": {"priority_id": 1}, "Supplier": {"contact_name": "theirs"}}
WATCHED = pytest.mark.parametrize(
    ("entity", "more"),
    [("Tickets", {}), ("Tickets", {"details": True}), ("Tickets", {"start": "beginning"}), ("Supplier", {}), ("Supplier", {"details": True})],
    ids=["tickets", "whole tickets", "all tickets", "suppliers", "whole suppliers"],
)


@WATCHED
async def test_before_ours_and_after_the_poll(memory_job, halos, entity, more):
    halo = await halos()
    scene = await stage(memory_job, halo, entity, **more)
    async with scene.between_polls():
        halo.store.update(entity, 5, THEIRS[entity])
        await scene.write(OURS[entity])
    assert await scene.told() == [("updated", 5)]
    await scene.write(OURS[entity])
    assert await scene.quiet() == [], "what was published is where the next one begins"


@WATCHED
async def test_after_ours_and_before_the_poll(memory_job, halos, entity, more):
    halo = await halos()
    scene = await stage(memory_job, halo, entity, **more)
    async with scene.between_polls():
        await scene.write(OURS[entity])
        halo.store.update(entity, 5, THEIRS[entity])
    assert await scene.told() == [("updated", 5)]


@WATCHED
async def test_between_two_of_ours(memory_job, halos, entity, more):
    halo = await halos()
    scene = await stage(memory_job, halo, entity, **more)
    async with scene.between_polls():
        await scene.write(OURS[entity])
        halo.store.update(entity, 5, THEIRS[entity])
        await scene.write(OURS[entity])
    assert await scene.told() == [("updated", 5)]


@WATCHED
async def test_between_our_look_and_our_write(memory_job, halos, entity, more):
    halo = await halos()
    scene = await stage(memory_job, halo, entity, **more)

    def meanwhile(received):
        if received.method == "POST" and received.path.lower() == f"/api/{entity.lower()}":
            halo.store.update(entity, 5, THEIRS[entity])

    halo.on_request(meanwhile)
    await scene.write(OURS[entity])
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("more", [{}, {"details": True}], ids=["tickets", "whole tickets"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_of_members_that_the_list_does_not_show(memory_job, halos, when, more):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets", **more)
    async with scene.between_polls():
        if when == "before":
            halo.store.update("Tickets", 5, {"details_html": "theirs"})
        await scene.write(OURS["Tickets"])
        if when == "after":
            halo.store.update("Tickets", 5, {"details_html": "theirs"})
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_in_the_same_second(job, halos, entity, when):
    """Halo's clock stands still, but for the ticks by which its database tells moments apart."""
    ticks = [datetime.now(UTC).replace(microsecond=100_000)]
    halo = await halos(now=lambda: ticks[-1])
    scene = await stage(job, halo, entity)
    async with scene.between_polls():
        ticks.append(ticks[-1].replace(microsecond=200_000))
        if when == "before":
            halo.store.update(entity, 5, THEIRS[entity])
            ticks.append(ticks[-1].replace(microsecond=210_000))
        await scene.write(OURS[entity])
        if when == "after":
            ticks.append(ticks[-1].replace(microsecond=210_000))
            halo.store.update(entity, 5, THEIRS[entity])
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("more", [{}, {"details": True}], ids=["tickets", "whole tickets"])
async def test_between_two_of_ours_and_as_near_as_halos_clock_can_tell(memory_job, halos, more):
    """Its database keeps steps of 3 milliseconds."""
    ticks = [datetime.now(UTC).replace(microsecond=100_000)]
    halo = await halos(now=lambda: ticks[-1])
    scene = await stage(memory_job, halo, "Tickets", **more)
    async with scene.between_polls():
        ticks.append(ticks[-1].replace(microsecond=200_000))
        await scene.write(OURS["Tickets"])
        ticks.append(ticks[-1].replace(microsecond=202_000))
        halo.store.update("Tickets", 5, THEIRS["Tickets"])
        ticks.append(ticks[-1].replace(microsecond=300_000))
        await scene.write(OURS["Tickets"])
    assert await scene.told() == [("updated", 5)]


@pytest.mark.parametrize("entity", ["Tickets", "Supplier"])
async def test_of_what_we_created(memory_job, halos, entity):
    halo = await halos()
    scene = await stage(memory_job, halo, entity)
    async with scene.between_polls():
        await scene.write({name: value for name, value in OURS[entity].items() if name != "id"} | {"client_id": 2})
        [born] = halo.journal.created(f"/{entity}")
        halo.store.update(entity, born, THEIRS[entity])
    assert await scene.told() == [("created", born)]


@pytest.mark.parametrize("field", [175, 201], ids=["the same field", "another field"])
async def test_of_a_custom_field_between_our_look_and_our_write(memory_job, halos, field):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets")
    halo.on_request(
        lambda received: received.method == "POST" and halo.store.update("Tickets", 5, {"customfields": [{"id": field, "value": "2026-02-02"}]}) and None
    )
    await scene.write({"id": 5, "customfields": [{"id": 175, "value": "ours"}]})
    if field == 175:
        assert await scene.quiet() == [], "we wrote over it: nobody can ever have seen it"
    else:
        assert await scene.told() == [("updated", 5)]


async def test_the_same_as_a_write_of_ours_that_halo_refused(memory_job, halos):
    halo = await halos()
    scene = await stage(memory_job, halo, "Tickets")
    await scene.job.other.send({"payload": {"id": 5, "summary": "ours", "tickettype_id": "none"}}, WRITES)
    await scene.running.settled("erp", "dead_rejected")
    halo.store.update("Tickets", 5, {"summary": "ours"})
    assert await scene.told() == [("updated", 5)]
