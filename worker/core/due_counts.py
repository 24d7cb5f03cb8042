"""Counts what waits for a time, by name, without keeping an entry for each: pure."""

from __future__ import annotations

from collections import Counter
from math import ceil


class DueCounts:
    """Whole seconds: at most as many entries for a name as there are different seconds to wait for."""

    def __init__(self) -> None:
        self._due: dict[str, Counter[int]] = {}

    def add(self, name: str, due: float) -> None:
        self._due.setdefault(name, Counter())[ceil(due)] += 1

    def count(self, name: str, now: float) -> int:
        """How many of this name are not due yet."""
        waiting = self._due.get(name, Counter())
        for due in [due for due in waiting if due <= now]:
            del waiting[due]
        return waiting.total()
