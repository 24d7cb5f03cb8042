"""Reads a whole list so that no row is lost in silence, however Halo pages it and however its rows move meanwhile.

The first page tells the real page size and the count. One page is one answer: nothing can move. Of several, the last is read first: rows that leave
(deleted, or updated out of the window) shift the others towards pages that are still to be read. Rows that enter a window that was to be closed, counts that
grow, and fewer distinct records than counted call for another pass; a scan that cannot be trusted after a few is incomplete and says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.records import halo_time, record_key, updated_at
from worker.core.exchange import Exchange

MAX_PASSES = 5
MAX_PAGES = 20_000


@dataclass(frozen=True, slots=True)
class Window:
    """Only rows updated since then; `since` is UTC."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """How far a scan is: what the baton carries from turn to turn.

    `page` is the next to read; `step` the rows per page as Halo gives them; `count` the last record count; `until` closes the window of this pass;
    `started` is Halo's clock at the first page; `newest` the newest stamp seen; `rows` how many were read, repeats included.
    """

    state: Literal["first", "backwards", "forwards", "complete", "incomplete", "failed"] = "first"
    page: int = 1
    step: int = 0
    count: int | None = None
    passes: int = 1
    shaken: bool = False
    until: datetime | None = None
    started: datetime | None = None
    newest: datetime | None = None
    rows: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.state in {"complete", "incomplete", "failed"}


@dataclass(slots=True)
class Seen:
    """What a scan has met so far: the keys of its records, and the page before for noticing that it comes again."""

    keys: set[str] = field(default_factory=set)
    previous: tuple[str, ...] = ()
    keyless: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The rows of one page, the keys that this scan had not met before, and where the scan is after it."""

    rows: list[dict[str, Any]]
    fresh: frozenset[str]
    position: Position
    failure: Exchange | None = None


class Scan:
    """One scan over one list; `pause()` true ends the turn after the page in hand."""

    def __init__(self, reader: PageReader, key: Sequence[str], window: Window | None, *, ordered: bool, pause: Callable[[], bool]) -> None:
        self._reader = reader
        self._key = tuple(key)
        self._window = window
        self._ordered = ordered
        self._pause = pause

    async def steps(self, position: Position, seen: Seen) -> AsyncIterator[Step]:
        """Read on from `position`, page by page, until the scan ends or `pause` says so. `seen` is filled as it goes."""
        while not position.ended:
            page = await self._reader.read(position.page, self._filters(position))
            if isinstance(page, PageFailed):
                yield Step([], frozenset(), replace(position, state="failed", reason=page.exchange.reason), page.exchange)
                return
            keys = tuple(key for row in page.rows if (key := record_key(row, self._key)) is not None)
            seen.keyless += len(page.rows) - len(keys)
            repeated = bool(keys) and keys == seen.previous
            fresh = frozenset(keys) - seen.keys
            seen.keys.update(keys)
            seen.previous = keys
            position = self._after(self._noted(position, page), page, seen, repeated=repeated, fresh=bool(fresh))
            yield Step(page.rows, fresh, position)
            if self._pause():
                return

    def _filters(self, position: Position) -> dict[str, str]:
        filters = {"order": "id", "orderdesc": "false"} if self._ordered else {}
        if self._window is not None:
            filters["lastupdatefromdate"] = halo_time(self._window.since)
            if position.until is not None:
                filters["lastupdatetodate"] = halo_time(position.until)
        return filters

    def _noted(self, position: Position, page: Page) -> Position:
        """With what this page tells of stamps, clock and counts."""
        stamps = [stamp for row in page.rows if (stamp := updated_at(row)) is not None]
        newest = max([*stamps, position.newest] if position.newest else stamps, default=None)
        entered = self._window is not None and position.until is not None and any(stamp > position.until for stamp in stamps)
        grew = position.state != "first" and None not in (position.count, page.count) and (page.count or 0) > (position.count or 0)
        return replace(
            position,
            rows=position.rows + len(page.rows),
            newest=newest,
            started=position.started or page.date,
            shaken=position.shaken or entered or (grew and self._window is not None),
            count=page.count if page.count is not None else position.count,
        )

    def _after(self, position: Position, page: Page, seen: Seen, *, repeated: bool, fresh: bool) -> Position:
        if seen.keyless:
            return incomplete(position, f"{seen.keyless} rows lack {' or '.join(self._key)}, which identifies a record: set `key` on the route")
        match position.state:
            case "first":
                return self._after_first(position, page)
            case "backwards":
                return self._after_backwards(position, page, seen, repeated=repeated)
            case _:
                return after_forwards(position, page, repeated=repeated, fresh=fresh)

    def _after_first(self, position: Position, page: Page) -> Position:
        rows = len(page.rows)
        if not self._reader.paged:
            if page.count is not None and page.count > rows:
                return incomplete(position, f"Halo counts {page.count} records but answers {rows}, and this list cannot be paged")
            return replace(position, state="complete")
        if page.count is None:
            return replace(position, state="forwards", page=2) if rows else replace(position, state="complete")
        if rows >= page.count:
            return replace(position, state="complete")
        if rows == 0:
            return incomplete(position, f"Halo counts {page.count} records but the first page is empty")
        return self._new_pass(position, step=rows)

    def _new_pass(self, position: Position, step: int) -> Position:
        until = position.started if self._window is not None else None
        last = -(-(position.count or 0) // step)
        if last > MAX_PAGES:
            return incomplete(position, f"{position.count} records in pages of {step} are more than {MAX_PAGES} pages: narrow the query")
        return replace(position, state="backwards", page=max(1, last), step=step, until=until, shaken=False)

    def _after_backwards(self, position: Position, page: Page, seen: Seen, *, repeated: bool) -> Position:
        if repeated and (position.count or 0) > len(page.rows):
            return incomplete(position, f"page {position.page} repeats the page before: Halo ignores paging here")
        if position.page > 1:
            return replace(position, page=position.page - 1)
        short = position.count is not None and len(seen.keys) < position.count
        if not short and not position.shaken:
            return replace(position, state="complete")
        if position.passes < MAX_PASSES:
            seen.previous = ()
            renewed = replace(position, passes=position.passes + 1, started=page.date or position.started)
            return self._new_pass(renewed, step=max(position.step, len(page.rows)))
        if short:
            return incomplete(position, f"counts disagree: {len(seen.keys)} distinct records of {position.count} after {MAX_PASSES} passes")
        return incomplete(position, f"rows kept moving between pages through {MAX_PASSES} passes")


def after_forwards(position: Position, page: Page, *, repeated: bool, fresh: bool) -> Position:
    """Without a count only an empty page, or one that brings nothing new, is the end."""
    if not page.rows:
        return replace(position, state="complete")
    if repeated:
        ignores_paging = position.page == 2  # noqa: PLR2004 - the first page came again: it was the whole list
        return replace(position, state="complete") if ignores_paging else incomplete(position, f"page {position.page} repeats the page before")
    if not fresh:
        return incomplete(position, f"page {position.page} brings nothing new")
    if position.page >= MAX_PAGES:
        return incomplete(position, f"no end after {MAX_PAGES} pages")
    return replace(position, page=position.page + 1)


def incomplete(position: Position, reason: str) -> Position:
    return replace(position, state="incomplete", reason=reason)
