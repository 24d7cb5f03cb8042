"""A key that does not identify the records is told within one poll, with its remedy; nothing is published by it; another key begins afresh."""

from __future__ import annotations

import pytest

from tests.tools.job import listening, routes, subscriber

SUPPLIERS = "Supplier"
PART = "subscriber list"


def by_key(*members, **more):
    key = {"key": list(members)} if members else {}
    return {"list": subscriber(entity=SUPPLIERS, every="20ms", queue=None) | key | more}


async def twins(halos, **settings):
    """A Halo with two suppliers of one name."""
    halo = await halos(tickets=20, **settings)
    ids = [row["id"] for row in halo.store.rows(SUPPLIERS)]
    halo.store.update(SUPPLIERS, ids[-1], {"name": next(iter(halo.store.rows(SUPPLIERS)))["name"]})
    return halo, ids


async def test_a_wrong_key_is_told_at_the_first_poll_in_log_readiness_and_metric_and_nothing_is_published(job, halos, capsys):
    halo, _ = await twins(halos)
    async with listening(job.other.broker) as listener:
        running = await job.start(routes(halo, subscribers=by_key("name")), ready=False)
        await running.until(lambda: running.polls("list") >= 1)
        await running.until(lambda: "does not identify" in running.service.health.parts[PART].detail)
        assert not running.service.health.ready
        detail = running.service.health.parts[PART].detail
        assert "name does not identify a record" in detail
        assert "`key: [id]`" in detail
        await running.until(lambda: running.polls("list") >= 3)
        assert running.polls("list") == running.polls("list", "incomplete")
        assert running.value("ambiguous_keys_total", route="list", key="name") >= 1
        assert listener.letters == []
    assert await job.other.depth("halo.dead.list") == 0


@pytest.mark.parametrize("start", ["beginning", "now"])
async def test_with_the_right_key_the_route_starts_as_on_the_first_day(memory_job, halos, start):
    halo, ids = await twins(halos)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=by_key("name", start=start)), ready=False)
        await running.until(lambda: running.polls("list") >= 2)
        await running.stop()
        again = await memory_job.start(routes(halo, subscribers=by_key(start=start)))
        await again.polled("list", 2, "complete")
        assert listener.ids == (set(ids) if start == "beginning" else set())


async def test_another_key_forgets_what_was_known_by_the_old_one_and_reports_nothing_gone(memory_job, halos):
    halo = await halos(tickets=20)
    ids = {row["id"] for row in halo.store.rows(SUPPLIERS)}
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=by_key(deletes=True)))
        await listener.hears(len(ids))
        await running.stop()
        again = await memory_job.start(routes(halo, subscribers=by_key("id", "name", deletes=True)))
        await listener.hears(2 * len(ids))
        await again.polled("list", 4, "complete")
        assert {letter.change for letter in listener.letters} == {"created"}
        halo.store.delete(SUPPLIERS, min(ids))
        await listener.hears(2 * len(ids) + 1)
        assert listener.letters[-1].change == "deleted"
        assert listener.letters[-1].body.keys() == {"id", "name"}
