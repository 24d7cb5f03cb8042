"""Reports the state of this replica to the broker, so that `status` works anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter, Gauge

from worker import __version__
from worker.app.flow_supervisor import FlowSupervisor
from worker.app.route_queues import RouteQueues, queues_by_route
from worker.config.routes import Routes
from worker.core.errors import BrokerError
from worker.core.health import Health, Part
from worker.core.pauses import pause_sentence
from worker.core.ports import Broker, Clock
from worker.core.topology import UNROUTED
from worker.metrics import Metrics, values_of
from worker.state.reports import ClientReport, ReplicaReport, RouteReport, newest_reports, publish_report
from worker.state.route_control import RouteControl

logger = structlog.get_logger()
RouteStates = tuple[bool, list[tuple[str, str, str]], tuple[str, ...]]
"""Readiness, name, state and reason of each route, and mistakes in files."""
INTERVAL = 5.0  # seconds
CHANGE_DELAY = 1.0  # seconds after which a replica reports a change of state
MANY_ROUTES = 100  # routes; with more of them a replica reports at a third of the pace
MAX_SAMPLED_QUEUES = 20  # queues whose depth the replica asks for in one report, at most
MAX_REASON = 300  # characters of a reason
MAX_PROBLEMS = 20
TOLD = ("the last poll", "a backfill", "one customer")
"""Beginnings of readiness details of a working route that `status` repeats."""


@dataclass(slots=True)
class Reporter:
    """Reports one replica. `routes`, `problems`: return the routes that it runs now, and the mistakes in files that it does not run."""

    name: str
    routes: Callable[[], Routes]
    problems: Callable[[], Sequence[str]]
    supervisor: FlowSupervisor
    control: RouteControl
    health: Health
    metrics: Metrics
    clock: Clock
    since: float
    _empty_at: dict[str, float] = field(default_factory=dict)
    _settled: dict[str, float] = field(default_factory=dict)

    async def serve(self, broker: Broker, key: bytes) -> None:
        """Report until the attachment is lost. After a failed report the next one follows as usual."""
        while True:
            try:
                for report in await newest_reports(broker, self.clock, key):  # what earlier replicas saw
                    for route in report.routes:
                        self._empty_at[route.name] = max(self._empty_at.get(route.name, 0.0), route.empty_at)
                await self._report_often(broker, key)
            except BrokerError as error:
                if broker.lost:
                    raise
                logger.warning("status.unpublished", reason=str(error), again_in_s=INTERVAL)
                await self.clock.sleep(INTERVAL)

    async def _report_often(self, broker: Broker, key: bytes) -> None:
        """Report at the interval, and soon after a change of state. Raises `BrokerError`."""
        while True:
            places = queues_by_route(self.routes())
            pace = 1 if len(places) <= MANY_ROUTES else 3
            await self._sample_queues(broker, places)
            report = await self.report(places, pace * INTERVAL)
            await publish_report(broker, key, report)
            until, reported = self.clock.monotonic() + pace * INTERVAL, states_of(report)
            while self.clock.monotonic() < until and self._states_now(places) == reported:
                await self.clock.sleep(pace * min(CHANGE_DELAY, INTERVAL))

    async def report(self, places: Sequence[RouteQueues], interval: float) -> ReplicaReport:
        """Return this replica's report; sends no request. It gathers thousands of routes in pieces, so that other work runs in between."""
        states = self._states(places)
        done = await metric_values(self.metrics.succeeded, self.metrics.polled)
        retrying, ordered = await metric_values(self.metrics.retrying), await metric_values(self.metrics.ordered_waiting)
        settled = await self._counts()
        routes = []
        for place, (_, state, reason) in zip(places, states, strict=True):
            label = (place.name,)
            report = RouteReport(
                place.name,
                place.kind,
                state,
                reason,
                place.queues,
                place.dead,
                last_success=done.get(label, 0.0),
                empty_at=self._empty_at.get(place.name, 0.0),
                retrying=int(retrying.get(label, 0)),
                waiting=int(ordered.get(label, 0)),
                settled=int(settled.get(place.name, 0)),
            )
            routes.append(report)
        ready, problems = self.health.ready, tuple(self.problems()[:MAX_PROBLEMS])
        return ReplicaReport(self.name, __version__, self.since, self.clock.now(), interval, ready, tuple(routes), self._clients(), problems)

    def _states_now(self, places: Sequence[RouteQueues]) -> RouteStates:
        """Return `states_of` of a report made now."""
        return self.health.ready, self._states(places), tuple(self.problems()[:MAX_PROBLEMS])

    def _states(self, places: Sequence[RouteQueues]) -> list[tuple[str, str, str]]:
        """Return name, state and reason of each route."""
        consuming, causes_of, parts = values_of(self.metrics.consuming), self._causes(), self.health.parts
        of_route: dict[str, list[Part]] = {}
        for flow in self.supervisor.flows:
            if flow.part in parts:
                of_route.setdefault(flow.route, []).append(parts[flow.part])
        states = []
        for place in places:
            consumes = place.kind == "webhook" or consuming.get((place.name,), 0) > 0
            state, reason = self._state(place, parts, of_route.get(place.name, []), consumes=consumes, causes=causes_of.get(place.name, []))
            states.append((place.name, state, reason[:MAX_REASON]))
        return states

    def _causes(self) -> Mapping[str, list[str]]:
        """Return what the messages and polls of each route wait for."""
        found: dict[str, list[str]] = {}
        for (route, cause), count in sorted(values_of(self.metrics.waiting).items()):
            if count > 0:
                found.setdefault(route, []).append(cause)
        return found

    def _state(self, place: RouteQueues, all_parts: Mapping[str, Part], parts: Sequence[Part], *, consumes: bool, causes: Sequence[str]) -> tuple[str, str]:
        if (pause := self.control.pause_of(place.name)) is not None:
            return "paused", pause_sentence(pause)
        if bad := [part.detail for part in parts if not part.ok]:
            return "down", bad[0]
        if not consumes:
            return "waiting", parts[0].detail if parts else "starting"
        if causes:
            return "waiting", f"{'the poll waits' if place.kind == 'subscriber' else 'messages wait'} for {', '.join(causes)}"
        if place.kind == "subscriber" and (away := self._client_away(place.name, all_parts)):
            return "waiting", away
        return "running", next((part.detail for part in parts if part.detail.startswith(TOLD)), "")

    def _client_away(self, subscriber: str, parts: Mapping[str, Part]) -> str:
        """Return why a subscriber cannot poll; empty if its client works. Between polls it sends Halo no request, so its own state would look good."""
        route = self.routes().subscribers.get(subscriber)
        part = None if route is None else parts.get(f"client {route.client}")
        return "" if route is None or part is None or part.ok else f"no polls while its Halo client is down: client {route.client}: {part.detail}"

    def _clients(self) -> tuple[ClientReport, ...]:
        up, used, limit = values_of(self.metrics.client_up), values_of(self.metrics.budget_used), values_of(self.metrics.budget_limit)
        parts, clients = self.health.parts, []
        for (name,), value in sorted(up.items()):
            reason = parts[part].detail[:MAX_REASON] if (part := f"client {name}") in parts else ""
            clients.append(ClientReport(name, value > 0, int(used.get((name,), 0)), int(limit.get((name,), 0)) or None, reason))
        return tuple(clients)

    async def _counts(self) -> dict[str, float]:
        """Return the number of settled messages, deliveries or published events of each route since the start."""
        found: dict[str, float] = {}
        for counter in (self.metrics.messages, self.metrics.events, self.metrics.deliveries):
            for (route, _), count in (await metric_values(counter)).items():
                found[route] = found.get(route, 0.0) + count
        return found

    async def _sample_queues(self, broker: Broker, places: Sequence[RouteQueues]) -> None:
        """Note which routes have nothing to do. Ask the broker only about routes that are busy or do not consume. Raises `BrokerError`."""
        unrouted = await broker.queue_depth(UNROUTED) or 0
        self.metrics.unrouted_waiting.set(unrouted)
        if unrouted:
            self.health.up("unrouted", f"{unrouted} in {UNROUTED}: no queue took these events; see `halo-worker dead list unrouted`")
        else:
            self.health.forget("unrouted")
        in_flight, consuming = await metric_values(self.metrics.in_flight), await metric_values(self.metrics.consuming)
        settled, ordered = await self._counts(), await metric_values(self.metrics.ordered_waiting)
        busy = []
        for place in places:
            label, count = (place.name,), settled.get(place.name, 0.0)
            idle = consuming.get(label, 0) > 0 and not in_flight.get(label, 0) and self._settled.get(place.name) == count
            if idle and not place.has_waiting_queue:
                self._empty_at[place.name] = self.clock.now()
            elif place.queues:
                busy.append(place)
        self._settled = settled | {place.name: settled.get(place.name, 0.0) for place in places}
        for place in sorted(busy, key=lambda each: self._empty_at.get(each.name, 0.0))[-MAX_SAMPLED_QUEUES:]:
            depths = [await broker.queue_depth(queue) for queue in place.queues]
            if not any(depths) and not ordered.get((place.name,), 0):
                self._empty_at[place.name] = self.clock.now()


async def metric_values(*metrics: Gauge | Counter) -> dict[tuple[str, ...], float]:
    """Return the values of all metrics. Reading 2,000 takes some 15 ms: other work runs before the next metric."""
    found: dict[tuple[str, ...], float] = {}
    for metric in metrics:
        found |= values_of(metric)
        await asyncio.sleep(0)
    return found


def states_of(report: ReplicaReport) -> RouteStates:
    """Return the part of a report whose change is reported soon."""
    return report.ready, [(route.name, route.state, route.reason) for route in report.routes], report.problems
