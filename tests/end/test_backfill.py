"""The history of a large tenant, beside live work, over the deaths of its workers; and the commands that start, show and end it."""

from __future__ import annotations

import asyncio
import re

import orjson
import pytest

from tests.tools.commands import run_command
from tests.tools.job import listening, routes, subscriber
from tests.tools.large import large
from tests.tools.waiting import until

LIVE = subscriber(every="1s", start="now", queue=None)


async def backfill(stage, *arguments):
    return await run_command(stage.folder, "backfill", "feed", *arguments, amqp_url=stage.amqp_url)


async def shown(stage):
    ended = await backfill(stage, "--status", "--json")
    assert ended.code == 0, ended.err
    return orjson.loads(ended.out)


@pytest.mark.long
@pytest.mark.parametrize("count", [3_000, *large(100_000)])
async def test_every_record_comes_at_least_once_and_live_changes_come_meanwhile(halos, stage, broker, count):
    halo = await halos(tickets=count)
    defined = routes(halo, subscribers={"feed": LIVE})
    live, repeated = [], 0
    async with listening(broker) as listener:
        worker = await stage.start(defined, name="worker-0", log_level="info")
        assert (await backfill(stage, "--from", "2000-01-01")).code == 0
        for number in range(1, 6):
            await heard(listener, count * number // 8)
            await worker.kill()
            saved = (await shown(stage))["rows"]
            repeated += len({letter.body["id"] for letter in history(listener)}) - saved
            halo.store.update("tickets", number, {"summary": f"live {number}"})
            worker = await stage.start(name=f"worker-{number}", log_level="info")
            await live_change(listener, f"live {number}")
            told = await shown(stage)
            live.append(told["state"])
        await heard(listener, count)
        finished = await backfill(stage, "--status", "--wait")
        assert finished.code == 0, finished.err
    assert listener.ids == set(range(1, count + 1)), "what changed before its page was read is live work"
    assert listener.ids - {letter.body["id"] for letter in history(listener)} <= {1, 2, 3, 4, 5}
    assert saved > 0, "a turn ended before the last death"
    moved = 5 * 5  # rows that a live change moves to another page are read again
    late = 5 * 100  # a page that the broker still handed out when those that had come were counted
    assert len(history(listener)) <= count + repeated + moved + late, "a death repeats the pages of its turn, and not more"
    meanwhile = 5 if count > 10_000 else 1  # a small one may end while a worker starts
    assert live[:meanwhile] == ["running"] * meanwhile, "live changes came while it was under way"
    closed = [each for each in halo.journal.received("GET", "/Tickets") if each.query.get("lastupdatetodate")]
    assert len(closed) <= (count + repeated) // 100 + 3 * 6, "it goes on from its page"


def history(listener):
    return [letter for letter in listener.letters if letter.change == "backfilled"]


async def heard(listener, count):
    async def so_many() -> bool:
        await asyncio.sleep(0)
        return len(listener.letters) >= count and len(listener.ids) >= count

    await until(so_many, 600)


async def live_change(listener, summary):
    async def came() -> bool:
        return any(letter.change == "updated" and letter.body["summary"] == summary for letter in listener.letters)

    await until(came, 120)


async def test_an_operator_starts_sees_and_ends_it(halos, stage, broker):
    halo = await halos(tickets=350)
    await stage.start(routes(halo, subscribers={"feed": LIVE}), name="worker")
    nothing = await backfill(stage, "--status")
    assert (nothing.code, "has had no backfill: start one with --from ISO" in nothing.err) == (1, True)
    assert "say one of --from ISO, --status and --cancel" in (await backfill(stage)).err
    assert (await backfill(stage, "--cancel")).code == 1
    async with listening(broker):
        done = await backfill(stage, "--from", "2000-01-01", "--wait")
        assert done.code == 0, done.err
        assert re.search(r": done at 20\S+Z; 350 events published of 350 records read", done.out)
        told = await shown(stage)
        assert (told["state"], told["published"], told["share"]) == ("done", 350, 1.0)

    async def told_with_the_cursor() -> bool:
        """A command that finds the baton in the hands of a worker says less."""
        cursor = await run_command(stage.folder, "cursor", "show", "feed", "--json", amqp_url=stage.amqp_url)
        return orjson.loads(cursor.out).get("backfill") == "done, since 2000-01-01T00:00:00Z"

    await until(told_with_the_cursor)


async def test_a_second_one_is_refused_while_the_first_is_under_way_and_a_cancelled_one_publishes_no_more(halos, stage, broker):
    halo = await halos(tickets=350)
    worker = await stage.start(routes(halo, subscribers={"feed": LIVE}), name="worker")
    await worker.stop()
    assert (await backfill(stage, "--from", "2000-01-01")).code == 0
    again = await backfill(stage, "--from", "2000-01-01")
    assert (again.code, "is under way" in again.err) == (1, True)
    ended = await backfill(stage, "--cancel")
    assert ended.code == 0
    assert re.search(r": cancelled at 20\S+Z, an operator ended it; 0 events published", ended.out)
    async with listening(broker) as listener:
        await stage.start(name="worker-2")
        halo.store.update("tickets", 1, {"summary": "live"})
        await live_change(listener, "live")
        assert [letter.change for letter in listener.letters] == ["updated"]
