"""Makes a subscriber poll at once when a webhook reports a change: makes its baton due, and the poll finds the change as usual."""

from __future__ import annotations

import asyncio

import structlog

from worker.core.health import Health
from worker.core.message import Delivery, up_to
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import Topology, browsable_queue
from worker.flows.waiting import race
from worker.metrics import Metrics
from worker.state.baton_lease import open_lease

logger = structlog.get_logger()
TRIGGER_PREFETCH = 100
TRIGGER_PAUSE = 2.0  # seconds between two polls: a poll costs requests, and finds all changes at once
BATON_RETRY = 0.5  # seconds between attempts to get the baton while a replica holds it
MAX_QUEUED_TRIGGERS = 10_000  # messages; one is enough


def wake_queue(subscriber: str) -> str:
    return f"halo.wake.{subscriber}"


def wake_topology(subscriber: str) -> Topology:
    """The wake queue. It may overflow, because any message in it triggers a poll."""
    return Topology(queues=(browsable_queue(wake_queue(subscriber), **{"x-max-length": MAX_QUEUED_TRIGGERS, "x-overflow": "drop-head"}),))


class PollTrigger:
    """Consumes the wake queue of one subscriber, on every replica."""

    def __init__(self, subscriber: str, clock: Clock, metrics: Metrics, health: Health) -> None:
        self._subscriber = subscriber
        self._clock = clock
        self._metrics = metrics
        self._health = health

    @property
    def part(self) -> str:
        """Its name in the readiness report."""
        return f"waking {self._subscriber}"

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Trigger polls until `stop`. Raises `BrokerError` if the connection is lost."""
        while not stop.is_set():
            async with broker.channel(prefetch=TRIGGER_PREFETCH) as channel:
                arrived: asyncio.Queue[Delivery] = asyncio.Queue()
                await channel.consume(wake_queue(self._subscriber), arrived.put_nowait, keep=up_to(0))  # the content does not matter
                self._health.up(self.part, "listening")
                await self._serve_channel(broker, channel, arrived, stop)

    async def _serve_channel(self, broker: Broker, channel: Channel, arrived: asyncio.Queue[Delivery], stop: asyncio.Event) -> None:
        while not stop.is_set():
            trigger = await race(arrived.get(), channel.wait_closed(), stop.wait())
            if isinstance(trigger, str):
                self._health.down(self.part, f"its channel was closed: {trigger}")
                return
            if isinstance(trigger, bool):
                return
            triggers = [trigger]
            while not arrived.empty():
                triggers.append(arrived.get_nowait())
            if not await self._make_due(broker, stop):
                return
            for delivery in triggers:
                await delivery.ack()
            logger.info("subscriber.woken", subscriber=self._subscriber, calls=len(triggers))
            await race(stop.wait(), timeout=TRIGGER_PAUSE)

    async def _make_due(self, broker: Broker, stop: asyncio.Event) -> bool:
        """Make the waiting baton due; wait while a replica holds it, since its poll may have read the record before the change. False if stopped."""
        while not stop.is_set():
            async with open_lease(broker, self._clock, self._subscriber, self._metrics) as (lease, _):
                if await lease.reschedule(lambda _: self._clock.now()):
                    return True
            await race(stop.wait(), timeout=BATON_RETRY)
        return False
