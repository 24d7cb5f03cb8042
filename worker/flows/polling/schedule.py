"""Computes when a subscriber is due, from an interval or a cron line, with jitter that spreads the routes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cronsim import CronSim

from worker.config.routes import Subscriber
from worker.core.entropy import uniform
from worker.state.baton import Baton

JITTER_SHARE = 0.05
JITTER_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """An interval `every` (seconds) or a cron line `cron` (UTC); exactly one is set."""

    every: float | None
    cron: str | None

    def due(self, after: float) -> float:
        """Return the next time after `after`, both in seconds since 1970, without jitter."""
        if self.cron is not None:
            return next(CronSim(self.cron, datetime.fromtimestamp(after, UTC))).timestamp()
        return after + (self.every or 0.0)

    @property
    def most_jitter(self) -> float:
        return min(JITTER_MAX, JITTER_SHARE * (self.every or JITTER_MAX / JITTER_SHARE))

    def next(self, after: float) -> float:
        """Return the next time with jitter, never earlier than without."""
        return self.due(after) + uniform(0, self.most_jitter)

    def revised(self, baton: Baton) -> float:
        """Return the due time of a waiting baton: its own, unless the schedule has changed since. A poll that failed is due early, and stays so."""
        if not baton.polled:
            return baton.due
        due = self.due(baton.polled)
        earliest = baton.polled if baton.failures else due
        return baton.due if earliest <= baton.due <= due + self.most_jitter else due


def schedule_of(route: Subscriber) -> Schedule:
    return Schedule(route.every, route.cron)
