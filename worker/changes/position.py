"""The position of a scan, which the baton carries from turn to turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class StampWindow:
    """The update stamps that a scan by date reads.

    `since`: UTC; None reads the whole list of an entity that Halo can filter by date. `overlap`: the next window begins this long before the newest stamp.
    """

    since: datetime | None
    overlap: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Position:
    """How far a scan is. A new scan reads the first page.

    Of the scan: `page`: the next to read. `step`: rows per page as Halo answers them. `count`: Halo's last record count.
    `end`: last page with rows, found by reading forwards. `started`, `latest`: Halo's clock at the first and the last page.
    `newest`: newest update stamp. `rows`: rows read, repeats included.

    Of the current pass: `until`: end of its window. `met`: its rows, repeats included. `least`: Halo's lowest count.
    `ascending`: ids rise from page to page. `rows_entered`: rows entered its window while it was read.
    `trace`: digest of the rows on each page. `before`: the same of the previous complete pass.
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
        """Whether this pass read fewer rows than Halo's lowest count."""
        return self.least is not None and self.met < self.least

    @property
    def pass_stable(self) -> bool:
        """Whether this pass read the same rows on the same pages as the previous one."""
        return self.trace == self.before

    @property
    def reached(self) -> datetime | None:
        """The stamp up to which the scan is sure to have read every row.

        Halo's database and its Date header may use different clocks. The newest stamp minus the duration of the scan is before its start by either.
        A list without stamps uses the Date header alone.
        """
        if self.newest is None:
            return self.started if self.rows else None
        if self.started is None:
            return self.newest
        took = max(timedelta(), (self.latest or self.started) - self.started)
        return min(self.newest - took, self.started)


def completed(position: Position) -> Position:
    return replace(position, state="complete")


def incomplete(position: Position, reason: str) -> Position:
    return replace(position, state="incomplete", reason=reason)
