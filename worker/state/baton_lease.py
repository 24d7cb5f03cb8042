"""Take the baton and pass it on. Take, publish and ack share one channel: a replica whose connection died cannot overwrite another's progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from worker.core.message import Delivery, Message, up_to
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import state_queue, subscriber_dead_queue, wait_queue
from worker.metrics import Metrics
from worker.state.baton import Baton, BatonUnreadable, highest

logger = structlog.get_logger()
NEWER_WAIT = 30.0  # seconds that a newer worker's baton waits before it is due again


@dataclass(frozen=True, slots=True)
class HeldBaton:
    """A baton that this replica took, and the deliveries to acknowledge once the broker has confirmed its successor."""

    baton: Baton
    deliveries: tuple[Delivery, ...]


class BatonLease:
    """Takes and puts one subscriber's baton on one channel. RabbitMQ gives the baton back when the channel closes."""

    def __init__(self, broker: Broker, channel: Channel, clock: Clock, subscriber: str, metrics: Metrics) -> None:
        self._broker = broker
        self._channel = channel
        self._clock = clock
        self._subscriber = subscriber
        self._metrics = metrics
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()

    async def listen(self) -> None:
        await self._channel.consume(state_queue(self._subscriber), self._arrived.put_nowait)

    async def arrival(self) -> Delivery:
        """Wait for the baton. A cancellation does not lose it."""
        return await self._arrived.get()

    async def take(self, arrived: Delivery) -> HeldBaton | None:
        """Take the baton that arrived, and drain both queues: the highest of several batons counts. None when no baton is plausible."""
        deliveries = [arrived]
        for queue in (wait_queue(self._subscriber), state_queue(self._subscriber)):
            while (more := await self._channel.get(queue)) is not None:
                deliveries.append(more)
        return await self._highest_of(deliveries)

    async def _highest_of(self, deliveries: list[Delivery]) -> HeldBaton | None:
        batons = []
        for delivery in list(deliveries):
            try:
                baton = Baton.decode(delivery.message.body)
                if reason := baton.implausible(self._clock.now()):
                    deliveries.remove(delivery)
                    await self._refuse(delivery, baton, reason)
                    continue
                batons.append(baton)
            except BatonUnreadable as error:
                deliveries.remove(delivery)
                await self._set_aside(delivery, error)
        if not batons:
            return None
        if len(batons) > 1:
            logger.warning("baton.merged", subscriber=self._subscriber, count=len(batons))
        return HeldBaton(highest(batons), tuple(deliveries))

    async def _set_aside(self, delivery: Delivery, error: BatonUnreadable) -> None:
        """Return a newer worker's baton for that worker; drop any other message, which is there by mistake."""
        if error.newer:
            again = Message(delivery.message.body, expiration=NEWER_WAIT)
            await self._channel.publish(again, routing_key=wait_queue(self._subscriber))
        logger.error("baton.unreadable", subscriber=self._subscriber, reason=str(error), kept=error.newer)
        await delivery.ack()

    async def _refuse(self, delivery: Delivery, baton: Baton, reason: str) -> None:
        """Move a baton that no worker can have written to the subscriber's dead queue, in case a clock was wrong."""
        self._metrics.refused_state.labels("baton").inc()
        dead = subscriber_dead_queue(self._subscriber)
        sentence = f"no worker can have written this baton, or the clock of this machine is wrong: {reason}; it was moved to {dead}"
        logger.error("baton.refused", subscriber=self._subscriber, epoch=baton.epoch, generation=baton.generation, reason=sentence)
        await self._channel.publish(Message(delivery.message.body), routing_key=dead)
        await delivery.ack()

    async def put(self, held: HeldBaton, successor: Baton) -> None:
        """Publish the successor for its due time, wait for the confirm, then acknowledge the old baton."""
        await put_baton(self._channel, self._clock, self._subscriber, successor)
        for delivery in held.deliveries:
            await delivery.ack()

    async def reschedule(self, due: Callable[[Baton], float]) -> bool:
        """Change the due time of a waiting baton; False when none waits."""
        delivery = await self._channel.get(wait_queue(self._subscriber))
        if delivery is None:
            await forward_due(self._broker, self._subscriber)
            return False
        held = await self._highest_of([delivery])
        if held is not None:
            await self.put(held, replace(held.baton, due=due(held.baton)))
        return True


async def put_baton(channel: Channel, clock: Clock, subscriber: str, baton: Baton) -> None:
    """Publish a baton so that it arrives when it is due, and wait for the confirm."""
    wait = baton.due - clock.now()
    if wait > 0:
        await channel.publish(Message(baton.encode(), expiration=wait), routing_key=wait_queue(subscriber))
    else:
        await channel.publish(Message(baton.encode()), routing_key=state_queue(subscriber))


async def forward_due(broker: Broker, subscriber: str) -> None:
    """Forward a baton that became due while its wait queue was read. Call it after a `get` from that queue that found nothing.

    RabbitMQ holds back a message that expires during a `basic.get`, until the queue gets a consumer or another message. Seen on 3.10.8 and 4.0.5, in 4 to 7 % of
    the gets at that moment.
    """
    async with broker.channel(prefetch=1) as channel:
        await channel.consume(wait_queue(subscriber), lambda _: None, keep=up_to(0))  # a delivered baton returns to its queue with the channel


@asynccontextmanager
async def open_lease(broker: Broker, clock: Clock, subscriber: str, metrics: Metrics | None = None) -> AsyncIterator[tuple[BatonLease, Channel]]:
    """A lease on a separate channel of the publishing connection. At exit a baton that was not passed on returns to its queue."""
    async with broker.channel(prefetch=1, publishing=True) as channel:
        yield BatonLease(broker, channel, clock, subscriber, Metrics() if metrics is None else metrics), channel
