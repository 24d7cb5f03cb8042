"""A list of Halo's with every oddity that lists of Halo's have, in memory; its rows move between the reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from worker.catalogue.operation import Listing, Operation
from worker.core.exchange import Exchange, Priority, Request, RequestResult

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
READ_TAKES = timedelta(seconds=0.5)
LISTING = Listing(key="tickets", paged=True, dated=True, ordered=True)
OPERATION = Operation(
    "GET", "/Tickets", query_parameters=dict.fromkeys(("lastupdatefromdate", "lastupdatetodate", "order", "orderdesc"), "any"), listing=LISTING
)


@dataclass(frozen=True, slots=True)
class Manners:
    """How a list behaves. `skew`: how far the clock that stamps rows is ahead of the Date header. `count`: what is added to the true record count."""

    cap: int = 5
    shape: Literal["envelope", "array", "results", "uncounted"] = "envelope"
    takes_order: bool = True
    takes_from: bool = True
    takes_to: bool = True
    pages: bool = True
    default_order: Literal["id", "id_desc", "newest", "oldest"] = "id"
    skew: timedelta = timedelta()
    count: int = 0
    hides_after_paging: frozenset[int] = frozenset()
    first_page_empty: bool = False
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    version: int
    stamp: datetime
    born: datetime

    def shown(self) -> dict[str, Any]:
        stamp, born = (moment.replace(tzinfo=None).isoformat(timespec="milliseconds") for moment in (self.stamp, self.born))
        return {"id": self.id, "summary": f"v{self.version}", "lastupdate": stamp, "dateoccurred": born, "_canupdate": True}


class SimulatedHalo:
    """Answers like `worker.core.ports.Halo`; `churn` is called after each answer."""

    name = "main"
    available = True

    def __init__(self, manners: Manners, churn: Callable[[SimulatedHalo], None] = lambda _: None) -> None:
        self.manners = manners
        self.churn = churn
        self.rows: dict[int, Row] = {}
        self.now = START
        self.reads = 0
        self.requests: list[Request] = []
        self._next = 1

    # what people do in Halo

    @property
    def stamp(self) -> datetime:
        """What Halo's database stamps now: whole milliseconds, each time a later one."""
        self.now += timedelta(milliseconds=1)
        return self.now + self.manners.skew

    def insert(self, *, late: timedelta = timedelta()) -> int:
        """A new row; `late`: it is stamped that long before now, as a transaction that took its time."""
        stamp = self.stamp - late
        self.rows[self._next] = Row(self._next, 1, stamp, stamp)
        self._next += 1
        return self._next - 1

    def update(self, key: int) -> None:
        row = self.rows[key]
        self.rows[key] = replace(row, version=row.version + 1, stamp=self.stamp)

    def delete(self, key: int) -> None:
        del self.rows[key]

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # what the worker sees

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert priority is Priority.POLL
        self.requests.append(request)
        self.reads += 1
        self.now += READ_TAKES
        body = self._answer(dict(request.query))
        exchange = Exchange(RequestResult.DONE, 200, body=body, date=self.now.replace(microsecond=0))
        self.churn(self)
        return exchange

    def source(self, path: str) -> str:
        return f"https://halo.example/api{path}"

    def _answer(self, query: dict[str, str]) -> Any:
        manners = self.manners
        rows = self._ordered(self._filtered(query), query)
        count = max(0, len(rows) + manners.count)
        number, size = int(query.get("page_no", 1)), min(int(query.get("page_size", 1_000_000)), manners.cap)
        if manners.endless:
            rows = [Row(number * 1000 + i, 1, self.now, self.now) for i in range(size)]
        elif manners.pages:
            rows = rows[(number - 1) * size : number * size]
        elif len(rows) > size and "pageinate" in query:
            rows = rows[:size]
        if manners.first_page_empty and number == 1:
            rows = []
        shown = [row.shown() for row in rows if row.id not in manners.hides_after_paging]
        match manners.shape:
            case "envelope":
                return {"page_no": number, "record_count": count, "tickets": shown}
            case "array":
                return shown
            case "results":
                return {"results": shown}
            case "uncounted":
                return {"tickets": shown}

    def _filtered(self, query: dict[str, str]) -> list[Row]:
        since, until = query.get("lastupdatefromdate"), query.get("lastupdatetodate")
        rows = list(self.rows.values())
        if since and self.manners.takes_from:
            rows = [row for row in rows if row.stamp >= datetime.fromisoformat(since)]
        if until and self.manners.takes_to:
            rows = [row for row in rows if row.stamp <= datetime.fromisoformat(until)]
        return rows

    def _ordered(self, rows: list[Row], query: dict[str, str]) -> list[Row]:
        if self.manners.takes_order and query.get("order") == "id":
            return sorted(rows, key=lambda row: row.id, reverse=query.get("orderdesc") == "true")
        by_stamp = self.manners.default_order in {"newest", "oldest"}
        downwards = self.manners.default_order in {"id_desc", "newest"}
        return sorted(rows, key=lambda row: (row.stamp, row.id) if by_stamp else row.id, reverse=downwards)


def churning(random: Random, *, updates: float = 0.6, inserts: float = 0.3, deletes: float = 0.3, late: float = 0.0) -> Callable[[SimulatedHalo], None]:
    """Rows change after each answer, each kind as often as these means say; `late` rows are stamped up to four minutes back."""

    def churn(halo: SimulatedHalo) -> None:
        for _ in range(times(random, updates)):
            if halo.rows:
                halo.update(random.choice(list(halo.rows)))
        for _ in range(times(random, inserts)):
            halo.insert()
        for _ in range(times(random, late)):
            halo.insert(late=timedelta(seconds=random.uniform(0, 240)))
        for _ in range(times(random, deletes)):
            if halo.rows:
                halo.delete(random.choice(list(halo.rows)))

    return churn


def times(random: Random, mean: float) -> int:
    """A whole number around `mean`: mostly near it, now and then many at once."""
    if random.random() < 0.9:
        return int(random.random() < mean)
    return random.randrange(1 + int(6 * mean))


def filled(halo: SimulatedHalo, random: Random, rows: int, *, over: float = 3600.0) -> None:
    """This many rows, stamped in random order over the last `over` seconds."""
    halo.wait(over)
    for key in sorted(random.sample(range(1, 3 * rows + 1), rows)):
        stamp = halo.now + halo.manners.skew - timedelta(milliseconds=round(1000 * random.uniform(0, over)))
        halo.rows[key] = Row(key, 1, stamp, stamp)
    halo._next = 3 * rows + 1
    halo.now += timedelta(seconds=1)
