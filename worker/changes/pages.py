"""Reads one page of a list in any of the shapes that Halo answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worker.catalogue.operation import Listing
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ports import Reader

PAGE_SIZE = 100  # Halo's maximum: it answers no more rows, even if the request asks for more

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one answer. `count`: Halo's `record_count`, None without one. `date`: Halo's clock, UTC."""

    rows: list[dict[str, Any]]
    count: int | None
    date: datetime | None


@dataclass(frozen=True, slots=True)
class PageFailed:
    """A page that could not be read; `exchange` has the reason."""

    exchange: Exchange


OnPage = Callable[[int, "Page | PageFailed", Exchange], None]


def rows_of(body: Any, listing: Listing | None) -> tuple[list[dict[str, Any]], int | None] | None:
    """Return the rows of an answer and its record count, None for anything but a list.

    Accepts a bare array, the list's known key, `results`, or the only array of objects.
    """
    if isinstance(body, list):
        return [row for row in body if isinstance(row, dict)], None
    if not isinstance(body, dict):
        return None
    count = body.get("record_count")
    count = count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
    known = (listing.key if listing else None, "results")
    for name in known:
        if name and isinstance(rows := body.get(name), list):
            return [row for row in rows if isinstance(row, dict)], count
    if count is None:
        return None
    arrays = [value for value in body.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(arrays) == 1:
        return [row for row in arrays[0] if isinstance(row, dict)], count
    return ([], count) if count == 0 or not arrays else None


class PageReader:
    """Reads pages of one list. `request` has all parameters except those of paging."""

    def __init__(self, reader: Reader, request: Request, listing: Listing | None, on_page: OnPage, priority: Priority = Priority.POLL) -> None:
        self._reader = reader
        self._request = request
        self._listing = listing
        self._on_page = on_page
        self._priority = priority

    @property
    def paged(self) -> bool:
        return self._listing is not None and self._listing.paged

    async def read(self, number: int, more: Mapping[str, str] | None = None) -> Page | PageFailed:
        """Read page `number` (from 1) with additional query parameters `more`; an unpaged list is read whole."""
        query = dict(self._request.query) | dict(more or {})
        if self.paged:
            query |= {"pageinate": "true", "page_size": str(PAGE_SIZE), "page_no": str(number)}
        exchange = await self._reader.send(replace(self._request, query=query), priority=self._priority)
        page = self._page(exchange)
        self._on_page(number, page, exchange)
        return page

    def _page(self, exchange: Exchange) -> Page | PageFailed:
        if self._listing is None and exchange.status == NOT_FOUND:  # the record is deleted: an empty list
            return Page([], 0, exchange.date)
        if not exchange.ok:
            return PageFailed(exchange)
        if self._listing is None and isinstance(exchange.body, dict):  # one record by id
            return Page([exchange.body], None, exchange.date)
        found = rows_of(exchange.body, self._listing)
        if found is None:
            reason = "the answer is not a list: it has neither an array nor the list's key"
            return PageFailed(replace(exchange, result=RequestResult.DONE_UNREAD, reason=reason))
        return Page(*found, exchange.date)
