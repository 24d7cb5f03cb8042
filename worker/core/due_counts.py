"""Counts, by name, the things that wait for a time, without an entry for each: pure."""

from __future__ import annotations

from collections import Counter
from math import ceil


class DueCounts:
    """Counts in whole seconds: a name has at most one entry for each different second."""

    def __init__(self) -> None:
        self._due: dict[str, Counter[int]] = {}

    def add(self, name: str, due: float) -> None:
        self._due.setdefault(name, Counter())[ceil(due)] += 1

    def count(self, name: str, now: float) -> int:
        """The number of things of this name that are not due yet."""
        waiting = self._due.get(name, Counter())
        for due in [due for due in waiting if due <= now]:
            del waiting[due]
        return waiting.total()
