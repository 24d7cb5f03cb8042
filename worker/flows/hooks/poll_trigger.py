"""Letting a subscriber poll at once because somebody was told that a record changed: its baton is made due, and the poll finds the change as always."""

from __future__ import annotations

import asyncio

import structlog

from worker.core.health import Health
from worker.core.message import Delivery, up_to
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import Topology, browsed
from worker.flows.waiting import first_of
from worker.metrics import Metrics
from worker.state.baton_lease import open_lease

logger = structlog.get_logger()
TRIGGER_PREFETCH = 100
TRIGGER_PAUSE = 2.0  # seconds between two wakings: a poll costs requests, and one poll finds what many calls were about
BATON_RETRY = 0.5  # seconds until the baton is looked for again while somebody has it
MAX_QUEUED_TRIGGERS = 10_000  # messages; only that there is one matters


def wake_queue(subscriber: str) -> str:
    return f"halo.wake.{subscriber}"


def wake_topology(subscriber: str) -> Topology:
    """The queue that wakes it, which may overflow: what is waiting wakes it as well."""
    return Topology(queues=(browsed(wake_queue(subscriber), **{"x-max-length": MAX_QUEUED_TRIGGERS, "x-overflow": "drop-head"}),))


class PollTrigger:
    """Serves the wake queue of one subscriber, beside its flow and on any replica."""

    def __init__(self, subscriber: str, clock: Clock, metrics: Metrics, health: Health) -> None:
        self._subscriber = subscriber
        self._clock = clock
        self._metrics = metrics
        self._health = health

    @property
    def part(self) -> str:
        """Its name in readiness."""
        return f"waking {self._subscriber}"

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Wake it until `stop`; raises `BrokerError` when the attachment is lost."""
        while not stop.is_set():
            async with broker.channel(prefetch=TRIGGER_PREFETCH) as channel:
                calls: asyncio.Queue[Delivery] = asyncio.Queue()
                await channel.consume(wake_queue(self._subscriber), calls.put_nowait, keep=up_to(0))  # only that it came counts
                self._health.up(self.part, "listening")
                await self._answer(broker, channel, calls, stop)

    async def _answer(self, broker: Broker, channel: Channel, calls: asyncio.Queue[Delivery], stop: asyncio.Event) -> None:
        while not stop.is_set():
            call = await first_of(calls.get(), channel.wait_closed(), stop.wait())
            if isinstance(call, str):
                self._health.down(self.part, f"its channel was closed: {call}")
                return
            if isinstance(call, bool):
                return
            answered = [call]
            while not calls.empty():
                answered.append(calls.get_nowait())
            if not await self._wake(broker, stop):
                return
            for delivery in answered:
                await delivery.ack()
            logger.info("subscriber.woken", subscriber=self._subscriber, calls=len(answered))
            await first_of(stop.wait(), timeout=TRIGGER_PAUSE)

    async def _wake(self, broker: Broker, stop: asyncio.Event) -> bool:
        """Make the waiting baton due. While a turn is under way it may have read the record before it changed: the baton is waited for. False when stopped first."""
        while not stop.is_set():
            async with open_lease(broker, self._clock, self._subscriber, self._metrics) as (lease, _):
                if await lease.reschedule(lambda _: self._clock.now()):
                    return True
            await first_of(stop.wait(), timeout=BATON_RETRY)
        return False
