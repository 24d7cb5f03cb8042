"""A sorted index over one member, which follows every change, so that a page of a long list costs no more than its rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any

SortKey = tuple[int, Any]
IndexEntry = tuple[SortKey, int]


def sort_key(value: Any) -> SortKey:
    """A key by which values of all types compare: None, then numbers and moments, then text."""
    match value:
        case None:
            return (0, 0)
        case bool() | int() | float():
            return (1, value)
        case datetime():
            return (1, value.timestamp())
        case str():
            return (2, value.lower())
        case _:
            return (3, str(value))


class SortedIndex:
    """Entries are (sort key, position of the record). Positions are unique, so equal values have one order."""

    def __init__(self, values: Iterable[tuple[int, Any]]) -> None:
        self.entries: list[IndexEntry] = sorted((sort_key(value), position) for position, value in values)

    def add(self, position: int, value: Any) -> None:
        insort(self.entries, (sort_key(value), position))

    def remove(self, position: int, value: Any) -> None:
        entry = (sort_key(value), position)
        found = bisect_left(self.entries, entry)
        if found < len(self.entries) and self.entries[found] == entry:
            del self.entries[found]

    def between(self, low: Any, high: Any, *, low_inclusive: bool, high_inclusive: bool) -> list[IndexEntry]:
        """The entries in the range; None leaves an end open."""
        start, stop = 0, len(self.entries)
        if low is not None:
            start = self._bound(sort_key(low), after=not low_inclusive)
        if high is not None:
            stop = self._bound(sort_key(high), after=high_inclusive)
        return self.entries[start:stop]

    def _bound(self, value: SortKey, *, after: bool) -> int:
        return (bisect_right if after else bisect_left)(self.entries, value, key=itemgetter(0))
