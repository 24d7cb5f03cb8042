"""Where a scan is: what the baton carries from turn to turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """Only rows updated since then (UTC; None: a whole list that can be closed). `overlap`: the next window begins that long before the newest stamp of this one."""

    since: datetime | None
    overlap: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Position:
    """How far a scan is. One that was just begun reads the first page.

    Of the scan: `page` is the next to read; `step` the rows per page as Halo gives them; `count` Halo's last record count; `end` the last page that has rows,
    where reading forwards found it; `started` and `latest` Halo's clock at the first and at the last page; `newest` the newest stamp; `rows` how many were read,
    repeats included.

    Of the pass under way: `until` closes its window; `met` counts its rows, repeats included; `least` is Halo's lowest count; `ascending`: its ids rise from page to page; `rows_entered`: rows came into it;
    `trace` tells which rows stood on which page, `before` the same of the whole pass before.
    """

    state: Literal["first", "backwards", "forwards", "complete", "incomplete", "failed"] = "first"
    page: int = 1
    step: int = 0
    count: int | None = None
    end: int = 0
    passes: int = 1
    until: datetime | None = None
    met: int = 0
    least: int | None = None
    ascending: bool = True
    rows_entered: bool = False
    trace: str = ""
    before: str = ""
    started: datetime | None = None
    latest: datetime | None = None
    newest: datetime | None = None
    rows: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.state in {"complete", "incomplete", "failed"}

    @property
    def rows_missing(self) -> bool:
        """Whether this pass met fewer rows than Halo ever counted meanwhile."""
        return self.least is not None and self.met < self.least

    @property
    def pass_stable(self) -> bool:
        """Whether this pass met the same rows on the same pages as the one before."""
        return self.trace == self.before

    @property
    def reached(self) -> datetime | None:
        """The stamp up to which rows were there to be met: the newest, as of the beginning of the scan.

        Halo's database may stamp rows by another clock than the Date header's: the newest stamp less the time that the scan took is no later than its beginning by
        either. A list whose rows have no stamps goes by the Date header alone.
        """
        if self.newest is None:
            return self.started if self.rows else None
        if self.started is None:
            return self.newest
        took = max(timedelta(), (self.latest or self.started) - self.started)
        return min(self.newest - took, self.started)


def complete(position: Position) -> Position:
    return replace(position, state="complete")


def incomplete(position: Position, reason: str) -> Position:
    return replace(position, state="incomplete", reason=reason)
