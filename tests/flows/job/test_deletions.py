"""Deletions that can be trusted: a permission that hides records deletes none, and a record that comes back is created."""

from __future__ import annotations

from collections import Counter

import structlog

from tests.tools.job import listening, routes, subscriber


def told(listener):
    return Counter((letter.change, letter.body["id"]) for letter in listener.letters)


def suppliers(**more):
    return {"list": subscriber(entity="Supplier", every="20ms", deletes=True, queue=None) | more}


async def filled(halos, count=40):
    halo = await halos(tickets=60)
    for number in range(count - len(list(halo.store.rows("Supplier")))):
        halo.store.create("Supplier", {"name": f"Supplier {number}"})
    return halo, [row["id"] for row in halo.store.rows("Supplier")]


async def test_a_permission_that_hides_half_of_a_list_deletes_nothing_and_raises_one_alert(memory_job, halos):
    halo, ids = await filled(halos)
    async with listening(memory_job.other.broker) as listener:
        with structlog.testing.capture_logs() as logs:
            running = await memory_job.start(routes(halo, subscribers=suppliers()))
            await listener.hears(len(ids))
            for key in ids[::2]:
                halo.store.hide("Supplier", key)
            await running.until(lambda: running.value("deletes_held", route="list") == 1)
            await running.polled("list", 4)
            part = running.service.health.parts["subscriber list"]
            assert part.ok, "the route goes on with what it can see"
            assert part.detail.startswith("the last poll reports no deletions: 20 of 40 known records are missing at once")
            halo.store.update("Supplier", ids[1], {"name": "Still read"})
            await listener.hears(len(ids) + 1)
            for key in ids[::2]:
                halo.store.show("Supplier", key)
            await running.until(lambda: running.value("deletes_held", route="list") == 0)
            await running.polled("list", 3)
        assert told(listener) == Counter(("created", key) for key in ids) + Counter([("updated", ids[1])])
        assert [entry["event"] for entry in logs if entry["event"].startswith("deletes.")] == ["deletes.held", "deletes.resumed"]


async def test_polls_that_do_not_read_the_whole_list_leave_the_alert_as_it_is(memory_job, halos):
    halo = await halos(tickets=40)
    async with listening(memory_job.other.broker) as listener:
        with structlog.testing.capture_logs() as logs:
            running = await memory_job.start(routes(halo, subscribers={"list": subscriber(every="20ms", deletes=True, queue=None)}))
            await listener.hears(40)
            for key in range(1, 21):
                halo.store.hide("Tickets", key)
            await running.until(lambda: running.value("deletes_held", route="list") == 1)
            await running.polled("list", 10)
        assert [entry["event"] for entry in logs if entry["event"].startswith("deletes.")] == ["deletes.held"]
        assert running.value("deletes_held", route="list") == 1
        assert not any(letter.change == "deleted" for letter in listener.letters)


async def test_few_deletions_are_told_while_the_list_stays_and_a_limit_lets_many_through(memory_job, halos):
    halo, ids = await filled(halos)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=suppliers(deletes_limit=60)))
        await listener.hears(len(ids))
        for key in ids[::2]:
            halo.store.delete("Supplier", key)
        await listener.hears(len(ids) + 20)
        await running.polled("list", 2)
        assert told(listener) - Counter(("created", key) for key in ids) == Counter(("deleted", key) for key in ids[::2])


async def test_a_record_that_comes_back_is_created_by_a_dedupe_key_of_its_own(memory_job, halos):
    halo, ids = await filled(halos, 12)
    gone, table = ids[4], halo.store.table("Supplier")
    row = dict(table.get(gone))
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers=suppliers()))
        await listener.hears(len(ids))
        for times in (1, 2):
            halo.store.delete("Supplier", gone)
            await listener.hears(len(ids) + 2 * times - 1)
            table.put(gone, row)
            await listener.hears(len(ids) + 2 * times)
        await running.polled("list", 3)
    about = [letter for letter in listener.letters if letter.body["id"] == gone]
    assert [letter.change for letter in about] == ["created", "deleted", "created", "deleted", "created"]
    assert len({letter.key for letter in about}) == 5, "a reader that drops copies by their key takes every one of them"


async def test_a_ticket_that_is_recovered_is_created_again_although_it_is_old(memory_job, halos):
    halo = await halos(tickets=12)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(routes(halo, subscribers={"list": subscriber(every="20ms", deletes=True, queue=None)}))
        await listener.hears(12)
        await running.polled("list", 2)
        halo.store.delete("Tickets", 5)
        await running.until(lambda: running.value("events_total", route="list", change="deleted") == 1)
        halo.store.recover("Tickets", 5)
        await listener.hears(14)
        assert [(letter.change, letter.body["id"]) for letter in listener.letters[12:]] == [("deleted", 5), ("created", 5)]
