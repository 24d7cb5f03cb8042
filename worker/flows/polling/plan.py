"""Plans a subscriber's next scan and computes the baton after it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.changes.detect import ScanContext
from worker.changes.position import Position, StampWindow
from worker.config.routes import Subscriber
from worker.state.baton import Baton

BASELINE_WINDOW = timedelta(days=1)  # the window in which `start: now` finds the newest stamp of Halo's clock
WITH_CREATION_STAMPS = frozenset({"tickets", "opportunities", "projects"})  # their rows have creation stamps; of other entities the baseline needs every id
FULL_SCAN_PACE = 4.3  # seconds per page: full scans by date use a tenth of the default request budget
CLOCKS_APART = timedelta(days=1)  # maximum difference, time zones included
TIMES = ("until", "started", "latest", "newest")
IN_BATON = {"rows_entered": "shaken"}  # batons keep the names with which earlier versions wrote them


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """One scan. `full`: it reads the whole list, otherwise rows updated since `since` (UTC). `baseline`: it stores unknown records without an event.

    `republish_since`: it also publishes known records that were updated since then.
    """

    full: bool
    since: datetime | None
    baseline: bool
    republish_since: datetime | None = None

    def window(self, route: Subscriber) -> StampWindow | None:
        """Return the window to read, None for a whole list that Halo cannot filter by date."""
        return StampWindow(self.since, timedelta(seconds=route.overlap)) if route.changes == "by_date" else None

    def context(self, route: Subscriber, baton: Baton) -> ScanContext:
        if self.since is not None:
            return ScanContext(
                self.baseline, since=self.since, republish_since=self.republish_since, column=None if route.report is None else route.report.cursor
            )
        known_until = baton.cursor - timedelta(seconds=route.overlap) if baton.cursor and baton.learnt and route.changes == "by_date" else None
        return ScanContext(self.baseline, cursor=known_until, republish_since=self.republish_since)


def plan_scan(route: Subscriber, baton: Baton, now: float) -> ScanPlan:
    """Return the scan to begin when the baton has no unfinished one."""
    baseline = not baton.learnt and route.start == "now" and route.changes != "all"
    if route.changes != "by_date":
        return ScanPlan(full=True, since=None, baseline=baseline, republish_since=baton.again)
    if baton.learnt:
        full = baton.cursor is None or (route.deletes and baton.full_due <= now)
        return ScanPlan(
            full, None if full or baton.cursor is None else baton.cursor - timedelta(seconds=route.overlap), baseline=False, republish_since=baton.again
        )
    if isinstance(route.start, datetime):
        return ScanPlan(full=False, since=route.start.astimezone(UTC), baseline=False)
    if baseline and not route.deletes and (route.operation.resource in WITH_CREATION_STAMPS or route.report is not None or route.for_each is not None):
        return ScanPlan(full=False, since=datetime.fromtimestamp(now, UTC) - BASELINE_WINDOW, baseline=True)
    return ScanPlan(full=True, since=None, baseline=baseline)


def resume_scan(scan: dict[str, Any]) -> tuple[ScanPlan, Position]:
    """Return the unfinished scan of a baton."""
    since, again = (datetime.fromisoformat(text) if (text := scan.get(name)) else None for name in ("since", "again"))
    return ScanPlan(scan["full"], since, scan["learning"], again), position_of(scan["position"])


def position_of(document: dict[str, Any]) -> Position:
    """Return the position that `position_document` wrote; moments may be text."""
    values = {item.name: document[IN_BATON.get(item.name, item.name)] for item in fields(Position)}
    for name in TIMES:
        values[name] = datetime.fromisoformat(str(values[name])) if values[name] else None
    return Position(**values)


def position_document(position: Position) -> dict[str, Any]:
    return {IN_BATON.get(name, name): value for name, value in asdict(position).items()}


def suspend_scan(plan: ScanPlan, position: Position) -> dict[str, Any]:
    """Return a scan in the form that the baton carries; `resume_scan` reads it."""
    return {"full": plan.full, "since": plan.since, "learning": plan.baseline, "again": plan.republish_since, "position": position_document(position)}


def next_cursor(route: Subscriber, baton: Baton, plan: ScanPlan, position: Position, now: float) -> datetime | None:
    """Return the stamp up to which every change is published. It never goes back, and at most a day ahead of our clock: a wrong clock would hide later changes."""
    if route.changes != "by_date":
        return None
    latest = datetime.fromtimestamp(now, UTC) + CLOCKS_APART
    reached = None if position.reached is None else min(position.reached, latest)
    kept = [moment for moment in (reached, baton.cursor, plan.since if not baton.learnt else None) if moment is not None]
    return max(kept, default=None)


def after_scan(route: Subscriber, baton: Baton, plan: ScanPlan, position: Position, now: float) -> dict[str, Any]:
    """Return the members of the baton that change after a scan. A complete scan moves the cursor; after an incomplete one the next scan reads all again."""
    changes: dict[str, Any] = {"scan": None, "polled": now, "polls": baton.polls + 1}
    match position.state:
        case "complete":
            changes |= {"learnt": True, "cursor": next_cursor(route, baton, plan, position, now), "again": None}
            if plan.full:
                changes["full_due"] = now + FULL_SCAN_PACE * max(1, -(-(position.count or 0) // 100))
        case "incomplete":
            changes |= {"learnt": True, "cursor": baton.cursor or plan.since, "again": None}  # publishing them again after each scan would never end
        case _:
            pass
    return changes
