"""Reads the rows of a list that have certain members: page by page, until the list ends or is too long to look through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.pages import PAGE_SIZE, rows_of
from worker.core.exact_numbers import whole
from worker.core.exchange import Exchange, Priority
from worker.core.ports import Halo

MAX_PAGES = 10


@dataclass(frozen=True, slots=True)
class MatchingRows:
    """The rows that match, the number of rows read, and Halo's own count of them (None without one)."""

    rows: list[dict[str, Any]]
    read: int
    count: int | None

    @property
    def complete(self) -> bool:
        """Whether Halo gave all rows that it counts."""
        return self.count is None or self.read >= self.count


@dataclass(frozen=True, slots=True)
class TooManyRows:
    """The list has more than MOST_PAGES pages."""


@dataclass(frozen=True, slots=True)
class RowsUnavailable:
    """Halo did not answer with a list."""

    exchange: Exchange


async def matching_rows(
    halo: Halo,
    operation: Operation,
    path: Mapping[str, Any],
    query: Mapping[str, Any],
    wanted: Mapping[str, Any],
    *,
    priority: Priority = Priority.WRITE,
    timeout: float | None = None,  # noqa: ASYNC109 - part of the requests
) -> MatchingRows | TooManyRows | RowsUnavailable:
    """Return the rows that have the members of `wanted`; all rows if it is empty.

    `timeout`: seconds for each request; None: the client's. Raises `RequestError`.
    """
    matches: list[dict[str, Any]] = []
    has_members = row_test(wanted)
    read, before = 0, None
    for page in range(1, MAX_PAGES + 1):
        more = paging(operation, page)
        exchange = await halo.send(build_request(operation, path, {**query, **more}, timeout=timeout), priority=priority)
        found = rows_of(exchange.body, operation.listing) if exchange.ok else None
        if found is None:
            return RowsUnavailable(exchange)
        rows, count = found
        if rows == before:  # Halo ignores paging here
            return MatchingRows(matches, read, count)
        read, before = read + len(rows), rows
        matches += [row for row in rows if has_members(row)]
        if not more or not rows or read == count:
            return MatchingRows(matches, read, count)
    return TooManyRows()


def paging(operation: Operation, page: int) -> dict[str, Any]:
    listing = operation.listing
    return {"pageinate": True, "page_size": PAGE_SIZE, "page_no": page} if listing is not None and listing.paged else {}


def row_test(wanted: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Return the test whether a row has these members. A member may have megabytes, so each is normalised once, not for each row."""
    normalized = {name: normal(value) for name, value in wanted.items()}
    return lambda row: all(normal(row.get(name)) == value for name, value in normalized.items())


def normal(value: Any) -> Any:
    """Return the form in which values are compared: 7, 7.0 and "7" are the same, texts compare without case and outer spaces, as in Halo."""
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
        return value
    return str(whole(value)).strip().casefold()
