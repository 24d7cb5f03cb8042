"""The whole state of the worker as one value: the reports of replicas, and the broker's counts. `status` and the status page show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from worker.app.route_queues import RouteQueues
from worker.core.pauses import Pauses, pause_sentence
from worker.core.ports import Broker, Clock
from worker.core.topology import UNROUTED
from worker.state.reports import ClientReport, ReplicaReport, RouteReport, newest_reports
from worker.state.route_control import newest_pauses

ABSENT = "no replica reports this route"
PREFERENCE = ("running", "waiting", "down")
"""The first of these states that a replica reports is the state of the route: one working replica is enough."""
FAILURE_COUNTS = frozenset({"subscriber"})
"""For these kinds one replica polls for all, so a failure on one replica is a failure of the route."""


async def overview(broker: Broker, clock: Clock, key: bytes, places: Sequence[RouteQueues] = ()) -> dict[str, Any]:
    """Return the JSON of `halo-worker status`. `places`: from the route files of this worker; reports add theirs. Raises `BrokerError`.

    {"replicas": [{"name", "version", "since", "ready"}],
     "routes": [{"name", "kind", "state": "running" | "paused" | "waiting" | "down", "reason", "backlog", "oldest_s", "retrying", "dead", "last_success", "lag_s"}],
     "unrouted", "clients": [{"name", "up", "reason", "budget_used", "budget_limit"}], "problems": [text]}

    `since`, `last_success`: seconds since 1970. `oldest_s`, `lag_s`: seconds; `oldest_s` is a maximum. null: not known, or the route has none.
    """
    reports, pauses = await newest_reports(broker, clock, key), await newest_pauses(broker, key)
    now = clock.now()
    fresh = [report for report in reports if report.fresh(now)]
    routes = []
    for place in known_places(places, fresh or reports):
        backlog = await total(broker, place.queues) if place.queues else None
        dead = await total(broker, place.dead)
        routes.append(route_object(place, reports, fresh, pauses, now, backlog=backlog, dead=dead or 0))
    return {
        "replicas": [{"name": each.name, "version": each.version, "since": each.since, "ready": each.ready} for each in fresh],
        "routes": routes,
        "unrouted": await broker.queue_depth(UNROUTED) or 0,
        "clients": [client_object(reported) for reported in by_client(fresh)],
        "problems": sorted({problem for each in fresh for problem in each.problems}),
    }


def known_places(places: Iterable[RouteQueues], reports: Iterable[ReplicaReport]) -> list[RouteQueues]:
    """Return the routes that replicas report, then the routes that only the route files have."""
    found = {each.name: RouteQueues(each.name, each.kind, each.queues, each.dead) for report in reports for each in report.routes}
    return list((found | {place.name: place for place in places if place.name not in found}).values())


async def total(broker: Broker, queues: Iterable[str]) -> int | None:
    """Return the number of ready messages in these queues; None if no queue exists. Raises `BrokerError`."""
    depths = [depth for queue in queues if (depth := await broker.queue_depth(queue)) is not None]
    return sum(depths) if depths else None


def route_object(
    place: RouteQueues, reports: Sequence[ReplicaReport], fresh: Sequence[ReplicaReport], pauses: Pauses, now: float, *, backlog: int | None, dead: int
) -> dict[str, Any]:
    """Return one route over all replicas. While no replica runs, the values that only replicas know come from the last reports."""
    reported = [route for report in reports for route in report.routes if route.name == place.name]
    current = [route for report in fresh for route in report.routes if route.name == place.name]
    state, reason = state_of(place, current, pauses)
    waits = None if backlog is None else backlog + max((route.waiting for route in current), default=0)
    success = max((route.last_success for route in reported), default=0.0) or None
    empty_at = max((route.empty_at for route in reported), default=0.0)
    return {
        "name": place.name,
        "kind": place.kind,
        "state": state,
        "reason": reason,
        "backlog": waits,
        "oldest_s": max(0, round(now - empty_at)) if waits and empty_at else None,
        "retrying": sum(route.retrying for route in current),
        "dead": dead,
        "last_success": success,
        "lag_s": max(0, round(now - success)) if success and place.kind == "subscriber" else None,
    }


def state_of(place: RouteQueues, current: Sequence[RouteReport], pauses: Pauses) -> tuple[str, str]:
    if not current:
        paused = pauses.routes.get(place.name)
        return "down", f"{ABSENT}; {pause_sentence(paused)}" if paused is not None else ABSENT
    if (pause := pauses.routes.get(place.name)) is not None:
        return "paused", pause_sentence(pause)
    order = tuple(reversed(PREFERENCE)) if place.kind in FAILURE_COUNTS else PREFERENCE
    best = min(current, key=lambda route: order.index(route.state) if route.state in order else len(order))
    return (best.state, best.reason) if best.state in PREFERENCE else ("waiting", "it is about to be resumed")


def by_client(reports: Iterable[ReplicaReport]) -> list[list[ClientReport]]:
    """Return the replicas' reports about each client, in the order of names."""
    found: dict[str, list[ClientReport]] = {}
    for report in reports:
        for client in report.clients:
            found.setdefault(client.name, []).append(client)
    return [found[name] for name in sorted(found)]


def client_object(reported: Sequence[ClientReport]) -> dict[str, Any]:
    """Return one client: it is up if any replica can use it. Each replica counts its own requests against the shared limit."""
    return {
        "name": reported[0].name,
        "up": any(each.up for each in reported),
        "reason": next((each.reason for each in sorted(reported, key=lambda each: not each.up)), ""),
        "budget_used": sum(each.budget_used for each in reported),
        "budget_limit": reported[0].budget_limit,
    }
