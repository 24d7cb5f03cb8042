"""Reads a whole list so that no row is missed silently, however Halo pages it and however rows move during the scan.

A list of one page is one answer: no row can move. Of several pages the scan reads the last first. Rows that leave the list shift the others to pages that
the scan has not read yet. A backward pass therefore misses no row while rows only leave, or enter at the end:

- A closed window that ends before the overlap: an updated row leaves it, and the next scan reads the overlap again. So the scan reads a window of several
  pages twice: whole, then without its overlap, which is often one page.
- A whole list whose ids rise from page to page: new rows enter at the end. If ids do not rise, the scan reads it as a window, where Halo can filter by date.
- Any other list, or a window that Halo does not close, is complete only when two passes read the same rows on the same pages.

Without a record count the scan reads forwards to find the last page; a forward pass does not prove completeness. An uncertain scan is incomplete and says why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from worker.changes.identity import ambiguity, are_ambiguous
from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.position import Position, StampWindow, incomplete
from worker.changes.records import halo_time, record_key, updated_at
from worker.changes.scan_transitions import after_backwards, after_first, after_forwards
from worker.core.exchange import Exchange


@dataclass(slots=True)
class SeenRows:
    """The rows that a scan has read: its record keys, the keys of the previous page (to detect a repeated page), and the number of rows without a key."""

    keys: set[str] = field(default_factory=set)
    previous: tuple[str, ...] = ()
    keyless: int = 0


@dataclass(frozen=True, slots=True)
class ScanStep:
    """The rows of one page with their keys (None: no key), the keys that are new in this scan, and the position after the page.

    `ambiguous`: the key does not identify the records of this list; the scan has ended. `unfit`: by key, why a row cannot become a record.
    """

    rows: list[dict[str, Any]]
    keys: list[str | None]
    fresh: frozenset[str]
    position: Position
    failure: Exchange | None = None
    ambiguous: bool = False
    unfit: Mapping[str, str] = field(default_factory=dict)


class Scan:
    """One scan over one list. When `pause()` returns true, the turn ends after the current page. `ignore`: members that are not content."""

    def __init__(
        self,
        reader: PageReader,
        key: Sequence[str],
        window: StampWindow | None,
        *,
        ordered: bool,
        pause: Callable[[], bool],
        ignore: frozenset[str] = frozenset(),
    ) -> None:
        self._reader = reader
        self._key = tuple(key)
        self._window = window
        self._ordered = ordered
        self._pause = pause
        self._ignore = ignore

    async def steps(self, position: Position, seen: SeenRows) -> AsyncIterator[ScanStep]:
        """Read page by page from `position` until the scan ends or `pause()` returns true. Adds to `seen`."""
        while not position.ended:
            page = await self._reader.read(position.page, self._filters(position))
            if isinstance(page, PageFailed):
                yield ScanStep([], [], frozenset(), replace(position, state="failed", reason=page.exchange.reason), page.exchange)
                return
            all_keys = [record_key(row, self._key) for row in page.rows]
            if are_ambiguous(page.rows, all_keys, self._ignore):
                yield ScanStep([], [], frozenset(), incomplete(position, ambiguity(page.rows, self._key)), ambiguous=True)
                return
            keys = tuple(key for key in all_keys if key is not None)
            seen.keyless += len(page.rows) - len(keys)
            repeated = bool(keys) and keys == seen.previous
            fresh = frozenset(keys) - seen.keys
            position = self._after(with_page(position, page, keys, seen.previous), page, seen, repeated=repeated, fresh=bool(fresh))
            seen.keys.update(keys)
            seen.previous = keys
            yield ScanStep(page.rows, all_keys, fresh, position)
            if self._pause():
                return

    def _filters(self, position: Position) -> dict[str, str]:
        filters = {"order": "id", "orderdesc": "false"} if self._ordered else {}
        if self._window is not None and self._window.since is not None:
            filters["lastupdatefromdate"] = halo_time(self._window.since)
        if position.until is not None:
            filters["lastupdatetodate"] = halo_time(position.until)
        return filters

    def _after(self, position: Position, page: Page, seen: SeenRows, *, repeated: bool, fresh: bool) -> Position:
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
    """Return the position with the rows, stamps, clock and counts of this page added."""
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
    """Return whether the ids of a page rise and start below those of the next page, where that one was read."""
    if not keys:
        return True
    if not all(key.isdecimal() for key in (*keys, *after[:1])):
        return False
    ids = [int(key) for key in keys]
    return all(low < high for low, high in pairwise(ids)) and (not after or ids[0] < int(after[0]))


def with_page_digest(trace: str, page: int, keys: tuple[str, ...]) -> str:
    """Return the trace with a page added. Empty pages and the order of reading do not change it."""
    if not keys:
        return trace
    digest = blake2b(f"{page}:{','.join(keys)}".encode(), digest_size=8).digest()
    return f"{int(trace or '0', 16) ^ int.from_bytes(digest):016x}"
