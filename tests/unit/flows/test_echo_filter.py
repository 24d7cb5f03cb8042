"""The reading side of the echo guard: it asks once, waits a little, and publishes where it does not know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from worker.catalogue.catalogue import load
from worker.changes.detect import Change, ScanContext
from worker.config.routes import Subscriber
from worker.core.clock import SystemClock
from worker.flows.echoes.filter import EchoFilter
from worker.flows.echoes.footprints import footprint_of, stamp_of
from worker.metrics import Metrics
from worker.state.record_index import RecordIndex
from worker.state.write_index import WriteFootprint

BEFORE = {"id": 5, "last_update": "2026-05-01T11:00:00", "summary": "old"}
ANSWER = {"id": 5, "last_update": "2026-05-01T12:00:00.1234567Z", "summary": "ours"}
ROW = {"id": 5, "lastupdate": "2026-05-01T12:00:00.123", "summary": "ours"}
CHANGE = Change("updated", "5", ROW, "old", "new")


@dataclass
class Stream:
    """What replicas told; `deaf`: it cannot be read."""

    deaf: bool = False
    asked: int = 0
    waits: list[tuple[list[str], bool]] = field(default_factory=list)
    known: list[WriteFootprint] = field(default_factory=lambda: [footprint_of("5", {"id": 5, "summary": "ours"}, BEFORE, ANSWER)])

    async def caught_up(self, within: float) -> bool:
        self.asked += 1
        return not self.deaf

    async def wait_until_ended(self, client: str, resource: str, keys: Iterable[str], *, creates: bool, within: float) -> None:
        self.waits.append((list(keys), creates))

    def footprints(self, client: str, resource: str, key: str) -> list[WriteFootprint]:
        return self.known if (client, resource, key) == ("main", "tickets", "5") else []


def check(stream: Stream, **route: Any) -> EchoFilter:
    subscriber = Subscriber("seen", "main", load().find("Tickets", "GET"), **route)
    return EchoFilter(subscriber, stream, SystemClock(), Metrics())  # type: ignore[arg-type]


def known() -> RecordIndex:
    records = RecordIndex()
    records.put("5", "old", str(stamp_of({"lastupdate": "2026-05-01T11:00:00"})))
    return records


async def test_our_own_change_is_told_apart_and_waited_for():
    stream = Stream()
    other = Change("created", "6", ROW | {"id": 6}, None, "new")
    assert await check(stream).echoes([CHANGE, other], known(), ScanContext()) == [CHANGE]
    assert stream.waits == [(["5", "6"], True)]


async def test_nothing_is_asked_where_nothing_changed():
    stream = Stream()
    assert await check(stream).echoes([], known(), ScanContext()) == []
    assert stream.asked == 0


async def test_a_change_without_a_stamp_is_published_and_nothing_is_asked():
    stream = Stream()
    bare = Change("updated", "5", {"id": 5, "summary": "ours"}, "old", "new")
    gone = Change("deleted", "6", {"id": 6}, "old", None)
    assert await check(stream).echoes([bare, gone], known(), ScanContext()) == []
    assert stream.asked == 0


async def test_what_an_operator_wants_once_more_is_published_whosever_it_is():
    assert await check(Stream()).echoes([CHANGE], known(), ScanContext(republish_since=datetime(2026, 1, 1, tzinfo=UTC))) == []


async def test_where_the_stream_cannot_be_read_everything_is_published_and_the_turn_waits_but_once():
    stream = Stream(deaf=True)
    checking = check(stream)
    for _ in range(3):
        assert await checking.echoes([CHANGE], known(), ScanContext()) == []
    assert stream.asked == 1


async def test_a_record_is_known_by_what_halo_identifies_it_by_whatever_the_route_does():
    change = Change("updated", "ours", ROW, "old", "new")
    records = RecordIndex()
    records.put("ours", "old", str(stamp_of({"lastupdate": "2026-05-01T11:00:00"})))
    assert await check(Stream(), key=("summary",)).echoes([change], records, ScanContext()) == [change]


async def test_members_that_the_route_ignores_decide_nothing():
    stream = Stream(known=[footprint_of("5", {"id": 5, "summary": "ours"}, BEFORE, ANSWER | {"mood": "good"})])
    assert await check(stream).echoes([CHANGE], known(), ScanContext()) == []
    assert await check(stream, ignore=frozenset({"mood"})).echoes([CHANGE], known(), ScanContext()) == [CHANGE]


async def test_a_write_through_tickets_is_recognised_in_the_list_of_projects():
    subscriber = Subscriber("seen", "main", load().find("Projects", "GET"))
    filtering = EchoFilter(subscriber, Stream(), SystemClock(), Metrics())  # type: ignore[arg-type]
    assert await filtering.echoes([CHANGE], known(), ScanContext()) == [CHANGE]
