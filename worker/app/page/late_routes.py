"""Finds late routes: subscribers by their interval, others by the wait of their oldest message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.config.routes import Routes, Subscriber
from worker.flows.polling.schedule import Schedule

LATE_AFTER = 300.0  # seconds; a shorter wait does not need an operator
MISSED = 3.0  # intervals of a subscriber


def late_routes(found: Mapping[str, Any], routes: Routes, now: float) -> frozenset[str]:
    """Return the names of late routes. `found`: the value of `overview`; `now`: seconds since 1970. A paused route is not late: an operator paused it."""
    return frozenset(route["name"] for route in found["routes"] if route["state"] != "paused" and is_late(route, routes.subscribers.get(route["name"]), now))


def is_late(route: Mapping[str, Any], subscriber: Subscriber | None, now: float) -> bool:
    if route["kind"] != "subscriber":
        return (route["oldest_s"] or 0) > LATE_AFTER
    period = interval(subscriber, now) if subscriber is not None else 0.0
    return (route["lag_s"] or 0) > max(LATE_AFTER, MISSED * period)


def interval(subscriber: Subscriber, now: float) -> float:
    """Return seconds from the next poll to the one after it."""
    schedule = Schedule(subscriber.every, subscriber.cron)
    due = schedule.due(now)
    return schedule.due(due) - due
