"""Selects records of a table by conditions, ranges and an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.sandbox.sorted_index import IndexEntry, sort_key
from worker.sandbox.table import Row, Table

CACHED_RESULTS = 16  # results per table: a client that reads page after page repeats its query


@dataclass(frozen=True, slots=True)
class Range:
    """Records whose `member` is in a range; None leaves an end open."""

    member: str
    start: datetime | None = None
    end: datetime | None = None
    start_inclusive: bool = True
    end_inclusive: bool = True


@dataclass(frozen=True, slots=True)
class Equals:
    """Records whose member is one of these values, compared as case-insensitive text."""

    member: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Contains:
    """Records with a member that contains the text, case-insensitively."""

    members: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    member: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    spans: tuple[Range, ...] = ()
    equals: tuple[Equals, ...] = ()
    contains: tuple[Contains, ...] = ()
    order: tuple[Order, ...] = (Order(),)


class ResultSet:
    """The matching positions in order; a page is a slice."""

    def __init__(self, table: Table, entries: Sequence[IndexEntry], *, descending: bool) -> None:
        self._table = table
        self._entries = entries
        self._descending = descending

    def __len__(self) -> int:
        return len(self._entries)

    def rows(self, start: int = 0, stop: int | None = None, *, thin: bool = False) -> list[Row]:
        total = len(self._entries)
        stop = total if stop is None else min(stop, total)
        if start >= stop:
            return []
        entries = reversed(self._entries[total - stop : total - start]) if self._descending else self._entries[start:stop]
        return [self._table.at(position, thin=thin) for _, position in entries]


def select(table: Table, query: Query) -> ResultSet:
    """The records that meet all conditions, in order. Cached until the table changes."""
    known: ResultSet | None = table.selections.get(query)
    if known is None:
        if len(table.selections) >= CACHED_RESULTS:
            del table.selections[next(iter(table.selections))]
        known = table.selections[query] = _select(table, query)
    return known


def _select(table: Table, query: Query) -> ResultSet:
    first = query.order[0]
    entries: list[IndexEntry] = table.index(first.member).entries
    narrowed = False
    for span in query.spans:
        found = table.index(span.member).between(span.start, span.end, low_inclusive=span.start_inclusive, high_inclusive=span.end_inclusive)
        if span.member == first.member and not narrowed:
            entries = found
        else:
            inside = {position for _, position in found}
            entries = [entry for entry in entries if entry[1] in inside] if len(inside) * 8 > len(entries) or narrowed else _arranged(table, first, inside)
        narrowed = True
    for condition in query.equals:
        column = table.column(condition.member)
        entries = [entry for entry in entries if _text(column[entry[1]]) in condition.values]
    for wanted in query.contains:
        columns = [table.column(member) for member in wanted.members]
        entries = [entry for entry in entries if any(wanted.text in _text(column[entry[1]]) for column in columns)]
    if len(query.order) > 1:
        return ResultSet(table, _sorted(table, entries, query.order), descending=False)
    return ResultSet(table, entries, descending=first.descending)


def _arranged(table: Table, order: Order, positions: set[int]) -> list[IndexEntry]:
    if order.member is None:
        return sorted((sort_key(position), position) for position in positions)
    column = table.column(order.member)
    return sorted((sort_key(column[position]), position) for position in positions)


def _sorted(table: Table, entries: list[IndexEntry], orders: tuple[Order, ...]) -> list[IndexEntry]:
    arranged = list(entries)
    for order in reversed(orders):
        column = table.column(order.member or "id")
        arranged.sort(key=lambda entry: sort_key(column[entry[1]]), reverse=order.descending)
    return arranged


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.lower()
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value).lower()
