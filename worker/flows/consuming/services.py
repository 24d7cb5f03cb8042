"""The services that the consumers of all routes of a worker share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.ports import Clock
from worker.core.trace import NO_TRACE, Tracer
from worker.flows.consuming.answering import Answer
from worker.flows.consuming.dropped_body import BodylessDeliveries
from worker.flows.consuming.memory import Memory
from worker.flows.consuming.report import report
from worker.flows.consuming.runner import DeliveryRunner, InFlight
from worker.metrics import Metrics


@dataclass(frozen=True, slots=True)
class ConsumerServices:
    """The shared services. `tasks`: handlers live on there when their channel is lost."""

    codec: HeaderCodec
    memory: Memory
    clock: Clock
    metrics: Metrics
    health: Health
    tasks: asyncio.TaskGroup
    tracer: Tracer = NO_TRACE

    def runner(self, route: str, answer: Answer) -> DeliveryRunner:
        """Return the runner that owns the deliveries of one route."""
        told = partial(report, self.metrics, route)
        return DeliveryRunner(route, self.memory.receipts.ledger, self.memory, self.clock, self.metrics, InFlight(), told, self.tracer, answer)

    def bodyless(self, route: str, part: str, *, rejectable: bool) -> BodylessDeliveries:
        """Return the handling of the deliveries of one route's queue whose bodies were not read."""
        return BodylessDeliveries(route, part, rejectable, self.memory, self.clock, self.metrics, self.health)
