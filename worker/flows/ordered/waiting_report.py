"""Reports the state of a waiting queue: metrics, a log line for a key that is held up, and one for a customer that fills it."""

from __future__ import annotations

from hashlib import sha256

import structlog

from worker.config.routes import Publisher
from worker.core.health import Health
from worker.core.ports import Clock
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage
from worker.metrics import Metrics

logger = structlog.get_logger()
MIN_MESSAGES = 100  # messages; fewer of them make no customer wait for long
DOMINANT_AFTER = 60.0  # seconds for which one customer holds most of the messages before the log says so
REPEAT_AFTER = 3600.0  # seconds until the log says it again
DIGITS = 12


class WaitingReport:
    """The report of one route; the caller calls `sample` every second or so. `detail`: the readiness text while no customer fills the route."""

    def __init__(self, route: Publisher, part: str, detail: str, lanes: Lanes[WaitingMessage], clock: Clock, metrics: Metrics, health: Health) -> None:
        self._route = route
        self._part = part
        self._detail = detail
        self._lanes = lanes
        self._clock = clock
        self._health = health
        self._waiting = metrics.ordered_waiting.labels(route.name)
        self._held_up = metrics.keys_held_up.labels(route.name)
        self._customers = None if route.fair_by is None else metrics.customers_waiting.labels(route.name)
        self._held_up_told = False
        self._fills: str | None = None
        self._since = 0.0
        self._told_at: float | None = None

    def sample(self) -> None:
        """Show the state of the lanes."""
        self._waiting.set(len(self._lanes))
        if self._route.order_by is not None:
            self._check_keys()
        if self._customers is not None:
            self._customers.set(self._lanes.customers)
            self._check_customers()

    def close(self) -> None:
        """Reset the metrics: this replica no longer applies the route."""
        for gauge in (self._waiting, self._held_up, self._customers):
            if gauge is not None:
                gauge.set(0)

    def _check_keys(self) -> None:
        keys = self._lanes.retrying_lanes(self._clock.now())
        self._held_up.set(keys)
        if keys and not self._held_up_told:
            logger.warning("order.held_up", route=self._route.name, keys=keys, reason="the first message of a key waits for its next attempt")
        self._held_up_told = bool(keys)

    def _check_customers(self) -> None:
        now, (customer, held) = self._clock.monotonic(), self._lanes.largest
        if len(self._lanes) < MIN_MESSAGES or 2 * held <= len(self._lanes):
            self._clear()
            return
        if customer != self._fills:
            self._clear()
            self._fills, self._since = customer, now
        if now - self._since < DOMINANT_AFTER:
            return
        detail = f"one customer ({name_of(customer)}) holds {held:,} of {len(self._lanes):,} waiting messages; customers that wait: {self._lanes.customers:,}"
        if self._health.parts[self._part].ok:
            self._health.up(self._part, detail)
        if self._told_at is None or now - self._told_at >= REPEAT_AFTER:
            self._told_at = now
            counts = {"held": held, "waiting": len(self._lanes), "customers": self._lanes.customers}
            logger.warning("customer.fills_route", route=self._route.name, customer=name_of(customer), seconds=round(now - self._since), **counts)

    def _clear(self) -> None:
        if self._told_at is not None:
            logger.info("customer.fills_no_more", route=self._route.name, customers=self._lanes.customers, waiting=len(self._lanes))
            if self._health.parts[self._part].ok:
                self._health.up(self._part, self._detail)
        self._fills, self._told_at = None, None


def name_of(customer: str) -> str:
    """Return the name of a customer for logs: the first digits of the SHA-256 of its value.

    An operator who knows the customers can find out which one it is.
    """
    return sha256(customer.encode()).hexdigest()[:DIGITS] if customer else "no value"
