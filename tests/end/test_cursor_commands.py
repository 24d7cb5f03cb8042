"""`halo-worker cursor`: looked at and moved while a worker runs, and made anew when it was purged."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended, run_command
from tests.tools.job import listening, routes, subscriber
from tests.tools.process import environment, write_routes
from tests.tools.waiting import until
from worker.cli import cursor as commands
from worker.core.ports import Broker
from worker.core.topology import Queue, Topology, baton_topology, known_stream, state_queue, wait_queue
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.state.cursor_admin import replace_baton

COUNT = 30


@dataclass
class Cursor:
    """The commands over one folder of routes."""

    folder: Path
    amqp_url: str

    async def __call__(self, *arguments: str, **settings: object) -> Ended:
        return await run_command(self.folder, "cursor", *arguments, amqp_url=self.amqp_url, **settings)

    async def shown(self) -> dict[str, Any]:
        ended = await self("show", "tickets", "--json")
        assert ended.code == 0, ended.err
        told: dict[str, Any] = orjson.loads(ended.out)
        return told

    async def state_is(self, **members: Any) -> None:
        async def seen() -> bool:
            return (await self.shown()).items() >= members.items()

        await until(seen)


@pytest.fixture
async def halo(halos) -> SimulatedHalo:
    return await halos(tickets=COUNT)


@pytest.fixture
def cursor(stage) -> Cursor:
    return Cursor(stage.folder, stage.amqp_url)


def of(halo: SimulatedHalo, **more: Any) -> dict[str, Any]:
    return routes(halo, subscribers={"tickets": subscriber(every="1s") | more})


def stamps(halo: SimulatedHalo) -> list[datetime]:
    """When each ticket was last updated, the oldest first."""
    return sorted(row["last_update"] for row in halo.store.rows("tickets"))


async def purge(broker: Broker, *queues: str) -> None:
    async with broker.channel() as channel:
        for queue in queues:
            while (delivery := await channel.get(queue)) is not None:
                await delivery.ack()


async def test_what_was_updated_since_the_moment_is_published_once_more_and_nothing_else(halo, stage, cursor, broker):
    wanted = [stamp for stamp in stamps(halo) if stamp >= stamps(halo)[COUNT // 2]]
    async with listening(broker) as heard:
        await stage.start(of(halo))
        await heard.hears(COUNT)
        await cursor.state_is(learnt=True, scan="none under way")
        at = wanted[0].isoformat()
        dry = await cursor("set", "tickets", "--at", at, "--dry-run")
        assert dry.code == 0, dry.err
        assert f"{len(wanted)} records would be read again" in dry.out
        assert len(heard.letters) == COUNT
        moved = await cursor("set", "tickets", "--at", at)
        assert moved.code == 0, moved.err
        await heard.hears(COUNT + len(wanted))
        await cursor.state_is(learnt=True, scan="none under way")
        assert "again_since" not in await cursor.shown()
        again = heard.letters[COUNT:]
        assert len(again) == len(wanted)
        assert len(heard.keys) == COUNT + len(wanted), "an event that is wanted once more must not look like a copy of the first"
        assert (await cursor("set", "tickets", "--at", at)).code == 0
        await heard.hears(COUNT + 2 * len(wanted))
        assert max(heard.keys.values()) == 1


async def test_a_list_of_several_pages_is_published_once_more_though_it_is_read_twice(halos, stage, cursor, broker):
    halo = await halos(tickets=230)
    async with listening(broker) as heard:
        await stage.start(of(halo))
        await heard.hears(230)
        await cursor.state_is(learnt=True, scan="none under way")
        assert (await cursor("set", "tickets", "--at", "2000-01-01")).code == 0
        await heard.hears(460)
        await cursor.state_is(learnt=True, scan="none under way")
        assert len(heard.letters) == 460


async def test_rewinding_goes_back_from_where_the_cursor_is(halo, stage, cursor, broker):
    newest = stamps(halo)[-1]
    hours = (newest - stamps(halo)[COUNT - 10]) // timedelta(hours=1) + 1
    wanted = [stamp for stamp in stamps(halo) if stamp >= newest - timedelta(hours=hours)]
    async with listening(broker) as heard:
        await stage.start(of(halo))
        await heard.hears(COUNT)
        await cursor.state_is(learnt=True, scan="none under way")
        ended = await cursor("rewind", "tickets", "--by", f"{hours}h")
        assert ended.code == 0, ended.err
        await heard.hears(COUNT + len(wanted))
        await cursor.state_is(learnt=True, scan="none under way")
        assert len(heard.letters) == COUNT + len(wanted)


async def test_a_list_that_is_compared_by_content_is_published_again_as_far_as_it_changed_since(halo, stage, cursor, broker):
    wanted = [stamp for stamp in stamps(halo) if stamp >= stamps(halo)[-5]]
    async with listening(broker) as heard:
        worker = await stage.start(of(halo, changes="by_content"))
        await heard.hears(COUNT)
        await worker.logged("poll.ended", result="complete")
        ended = await cursor("set", "tickets", "--at", wanted[0].isoformat())
        assert ended.code == 0, ended.err
        await heard.hears(COUNT + len(wanted))
        await cursor.state_is(learnt=True, scan="none under way")
        assert len(heard.letters) == COUNT + len(wanted)


async def test_a_reset_starts_as_on_the_first_day(halo, stage, cursor, broker):
    async with listening(broker) as heard:
        await stage.start(of(halo))
        await heard.hears(COUNT)
        dry = await cursor("reset", "tickets", "--dry-run")
        assert f"{COUNT} records would be read again" in dry.out
        ended = await cursor("reset", "tickets")
        assert (ended.code, "every record is published again" in ended.out) == (0, True), ended
        await heard.hears(2 * COUNT)
        assert Counter(heard.keys.values()) == {2: COUNT}, "the same records as on the first day are the same events"


async def test_a_purged_baton_is_an_alert_that_names_the_remedy_and_the_remedy_works(halo, stage, cursor, broker):
    async with listening(broker) as heard, stage.within(of(halo, every="1h"), turn=1.5) as worker:
        await heard.hears(COUNT)
        await cursor.state_is(state="waiting", learnt=True)
        await purge(broker, wait_queue("tickets"), state_queue("tickets"))
        await worker.until(lambda: worker.value("cursor_lost", route="tickets") == 1)
        assert "halo-worker cursor set tickets --at ISO" in worker.service.health.parts["subscriber tickets"].detail
        assert not worker.service.health.ready
        assert "a replica holds the baton" in (await cursor.shown())["state"]
        ended = await cursor("reset", "tickets")
        assert ended.code == 0, ended.err
        await heard.hears(2 * COUNT)
        await worker.ready()


async def test_a_baton_that_is_gone_is_waited_for_once(halo, stage, cursor, broker, monkeypatch):
    async with listening(broker) as heard:
        worker = await stage.start(of(halo, every="1h"))
        await heard.hears(COUNT)
        await cursor.state_is(state="waiting", learnt=True)
        await worker.stop()
    await purge(broker, wait_queue("tickets"), state_queue("tickets"))
    waits = []

    async def replace_at_once(*about, max_wait):
        waits.append(max_wait)
        return await replace_baton(*about, max_wait=0)

    monkeypatch.setattr(commands, "LEEWAY", -9.5)
    monkeypatch.setattr(commands, "configure", lambda _: None)
    monkeypatch.setattr(commands, "replace_baton", replace_at_once)
    variables = environment(stage.folder, {}, amqp_url=cursor.amqp_url, turn=10)
    assert await asyncio.to_thread(commands.set_to, "tickets", "2026-03-01", variables, dry_run=False) == 0
    assert waits == [0]
    assert (await cursor.shown())["cursor"] == "2026-03-01T00:00:00Z"


async def test_known_records_that_are_gone_do_not_keep_a_cursor_from_being_set(halo, stage, cursor, broker):
    async with listening(broker) as heard:
        worker = await stage.start(of(halo, every="1h"))
        await heard.hears(COUNT)
        await cursor.state_is(state="waiting", learnt=True)
        await worker.stop()
        stream = next(queue for queue in baton_topology("tickets").queues if queue.name == known_stream("tickets"))
        await broker.delete(Topology(queues=(Queue(stream.name),)))
        await broker.declare(Topology(queues=(stream,)))
        at = stamps(halo)[-3]
        ended = await cursor("set", "tickets", "--at", at.isoformat())
        assert ended.code == 0, ended.err
        await stage.start(name="after")
        await heard.hears(COUNT + 3)


async def test_a_worker_that_has_never_run_has_no_cursor_to_show_and_one_to_set(halo, stage, cursor, broker):
    write_routes(stage.folder, of(halo))
    assert "never run" in (await cursor.shown())["state"]
    at = stamps(halo)[-3]
    ended = await cursor("set", "tickets", "--at", at.isoformat())
    assert ended.code == 0, ended.err
    async with listening(broker) as heard:
        await stage.start()
        await heard.hears(3)
        await cursor.state_is(learnt=True, scan="none under way")
        assert len(heard.letters) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "tickest"), 2, "there is no subscriber 'tickest'; did you mean tickets?"),
        (("set", "tickets", "--at", "yesterday"), 2, "--at: 'yesterday' is not an ISO date"),
        (("rewind", "tickets", "--by", "2 hours"), 2, "--by: '2 hours' is not a duration"),
        (("set", "tickets"), 2, "--at"),
        (("rewind", "everything", "--by", "1h"), 1, "it has no cursor to move"),
    ],
)
async def test_a_mistake_is_told_in_a_sentence(halo, stage, cursor, arguments, code, said):
    both = {"tickets": subscriber(), "everything": subscriber(changes="all", queue="others")}
    write_routes(stage.folder, routes(halo, subscribers=both))
    ended = await cursor(*arguments)
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err
