"""A backfill: the history that a subscriber reads with a lower priority than its live work. Its progress is a part of the baton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self, get_args

State = Literal["running", "done", "incomplete", "cancelled"]
MAX_STEP = 60.0  # seconds between two turns that count as work; a longer time is an outage and does not show the speed
MOMENTS = ("since", "until")
NUMBERS = ("begun", "at", "spent")
COUNTS = ("rows", "done", "published", "failures", "cut")


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill. Times without a zone are seconds since 1970.

    - `since`, `until`: the update stamps that it covers; changes after `until` are live work.
    - `begun`: when an operator started it. `at`: the end of its last turn. `spent`: seconds of work, without outages.
    - `position`: the position of the scan, as the flow writes it; None: the scan begins.
    - `cut`: turns in a row that ended before their first page was done, since a poll was due. `rows`: processed rows.
    - `done`, `total`: processed rows and all rows of the current pass; `total` is None while it is unknown.
    - `published`: events that the broker has confirmed. `failures`: turns in a row that failed.
    - `reason`: why the last turn failed, or why the backfill is incomplete.
    """

    id: str
    since: datetime
    until: datetime
    begun: float
    state: State = "running"
    position: dict[str, Any] | None = None
    rows: int = 0
    done: int = 0
    total: int | None = None
    published: int = 0
    at: float = 0.0
    spent: float = 0.0
    failures: int = 0
    cut: int = 0
    reason: str = ""

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None while it is unknown."""
        if self.state == "done":
            return 1.0
        return None if not self.total else min(1.0, self.done / self.total)

    @property
    def left(self) -> float | None:
        """Seconds that remain at the speed so far; None while it is unknown."""
        share = self.share
        return None if not share or not self.running or not self.spent else self.spent * (1 - share) / share

    def worked(self, now: float, began: float) -> Self:
        """The backfill after a turn from `began` to `now`. The time since the previous turn counts too, since live work goes first."""
        step = now - (self.at or began)
        return replace(self, at=now, spent=self.spent + (step if 0 <= step <= MAX_STEP else now - began))

    def as_object(self) -> dict[str, Any]:
        """The backfill as the baton carries it."""
        return asdict(self) | {name: getattr(self, name).isoformat() for name in MOMENTS}

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Self | None:
        """The backfill in a baton; None without one, and for a value that no worker wrote."""
        if document is None:
            return None
        try:
            known = {item.name: document[item.name] for item in fields(cls) if item.name in document}
            known |= {name: datetime.fromisoformat(known[name]).astimezone(UTC) for name in MOMENTS}
            made = cls(**known)
        except (KeyError, TypeError, ValueError):
            return None
        return made if made.plausible else None

    @property
    def plausible(self) -> bool:
        """Whether each member has its type."""
        numbers = all(isinstance(getattr(self, name), (int, float)) for name in NUMBERS)
        counts = all(type(getattr(self, name)) is int and getattr(self, name) >= 0 for name in COUNTS)
        texts = isinstance(self.id, str) and isinstance(self.reason, str) and self.state in get_args(State)
        return numbers and counts and texts and isinstance(self.position, dict | None) and isinstance(self.total, int | None)
