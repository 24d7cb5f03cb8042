"""Reads a whole list so that no row is lost in silence, however Halo pages it and however its rows move meanwhile.

One page is one answer: nothing can move. Of several, the last is read first: rows that leave shift the others towards pages that are still to be read. So a pass
backwards is certain as long as rows only leave, or come in at the end:

- A window that ended before the overlap is such a list: whatever is updated leaves it. What lies in the overlap the next scan reads again. So a window of several
  pages is read twice: whole, then without its overlap, which is often one page.
- A whole list is, when its ids rise from page to page: new ones come in at the end. If they do not rise, it is read as a window, where Halo can filter by date.
- Any other list (or a window that Halo does not close) is certain only when two passes met the same rows on the same pages.

Where pages are not counted, they are read forwards to find their end, which proves nothing by itself. A scan that remains uncertain is incomplete and says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.position import Position, Window, incomplete
from worker.changes.records import halo_time, record_key, updated_at
from worker.changes.scan_transitions import after_backwards, after_first, after_forwards
from worker.core.exchange import Exchange


@dataclass(slots=True)
class Seen:
    """What a scan has met so far: the keys of its records, and the page before for noticing that it comes again."""

    keys: set[str] = field(default_factory=set)
    previous: tuple[str, ...] = ()
    keyless: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The rows of one page with their keys (None: it has none), the keys that this scan had not met before, and where the scan is after it."""

    rows: list[dict[str, Any]]
    keys: list[str | None]
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
                yield Step([], [], frozenset(), replace(position, state="failed", reason=page.exchange.reason), page.exchange)
                return
            all_keys = [record_key(row, self._key) for row in page.rows]
            keys = tuple(key for key in all_keys if key is not None)
            seen.keyless += len(page.rows) - len(keys)
            repeated = bool(keys) and keys == seen.previous
            fresh = frozenset(keys) - seen.keys
            position = self._after(with_page(position, page, keys, seen.previous), page, seen, repeated=repeated, fresh=bool(fresh))
            seen.keys.update(keys)
            seen.previous = keys
            yield Step(page.rows, all_keys, fresh, position)
            if self._pause():
                return

    def _filters(self, position: Position) -> dict[str, str]:
        filters = {"order": "id", "orderdesc": "false"} if self._ordered else {}
        if self._window is not None and self._window.since is not None:
            filters["lastupdatefromdate"] = halo_time(self._window.since)
        if position.until is not None:
            filters["lastupdatetodate"] = halo_time(position.until)
        return filters

    def _after(self, position: Position, page: Page, seen: Seen, *, repeated: bool, fresh: bool) -> Position:
        if seen.keyless:
            return incomplete(position, f"{seen.keyless} rows lack {' or '.join(self._key)}, which identifies a record: set `key` on the route")
        match position.state:
            case "first":
                return after_first(position, page, paged=self._reader.paged)
            case "backwards":
                return after_backwards(position, page, self._window, repeated=repeated)
            case _:
                return after_forwards(position, page, self._window, repeated=repeated, fresh=fresh)


def with_page(position: Position, page: Page, keys: tuple[str, ...], previous: tuple[str, ...]) -> Position:
    """With what this page tells of rows, stamps, clock and counts."""
    stamps = [stamp for row in page.rows if (stamp := updated_at(row)) is not None]
    came_in = position.until is not None and any(stamp > position.until for stamp in stamps)
    grew = position.until is not None and None not in (position.count, page.count) and (page.count or 0) > (position.count or 0)
    after = previous if position.state == "backwards" and position.met else ()
    return replace(
        position,
        rows=position.rows + len(page.rows),
        met=position.met + len(page.rows),
        newest=max([*stamps, position.newest] if position.newest else stamps, default=None),
        started=position.started or page.date,
        latest=page.date or position.latest,
        ascending=position.ascending and ids_ascend(keys, after),
        rows_entered=position.rows_entered or came_in or grew,
        trace=with_page_digest(position.trace, position.page, keys),
        least=position.least if page.count is None else min(page.count, position.least if position.least is not None else page.count),
        count=page.count if page.count is not None else position.count,
    )


def ids_ascend(keys: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether the ids of a page rise, and begin below those of the page after it, as far as that is known."""
    if not keys:
        return True
    if not all(key.isdecimal() for key in (*keys, *after[:1])):
        return False
    ids = [int(key) for key in keys]
    return all(low < high for low, high in pairwise(ids)) and (not after or ids[0] < int(after[0]))


def with_page_digest(trace: str, page: int, keys: tuple[str, ...]) -> str:
    """The trace with a page added; the order in which pages are read does not count, nor do empty ones."""
    if not keys:
        return trace
    digest = blake2b(f"{page}:{','.join(keys)}".encode(), digest_size=8).digest()
    return f"{int(trace or '0', 16) ^ int.from_bytes(digest):016x}"
