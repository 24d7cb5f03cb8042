"""Taking the baton, and passing it on: take, publish and ack on one channel, so that a holder whose connection died cannot overwrite another's progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import state_queue, subscriber_dead_queue, wait_queue
from worker.metrics import Metrics
from worker.state.baton import Baton, BatonUnreadable, highest

logger = structlog.get_logger()
NEWER_WAIT = 30.0  # seconds that a newer worker's baton is left alone for the newer worker to take


@dataclass(frozen=True, slots=True)
class HeldBaton:
    """The baton in our hands, and the deliveries to ack once its successor is confirmed."""

    baton: Baton
    deliveries: tuple[Delivery, ...]


class BatonLease:
    """One subscriber's baton on one channel."""

    def __init__(self, channel: Channel, clock: Clock, subscriber: str, metrics: Metrics) -> None:
        self._channel = channel
        self._clock = clock
        self._subscriber = subscriber
        self._metrics = metrics
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()

    async def listen(self) -> None:
        await self._channel.consume(state_queue(self._subscriber), self._arrived.put_nowait)

    async def arrival(self) -> Delivery:
        """Wait for the baton; may be cancelled at any time without losing it."""
        return await self._arrived.get()

    async def take(self, arrived: Delivery) -> HeldBaton | None:
        """The baton that arrived. Both queues are drained: of several the furthest stays. None when what came was no baton of ours."""
        deliveries = [arrived]
        for queue in (wait_queue(self._subscriber), state_queue(self._subscriber)):
            while (more := await self._channel.get(queue)) is not None:
                deliveries.append(more)
        return await self._chosen(deliveries)

    async def _chosen(self, deliveries: list[Delivery]) -> HeldBaton | None:
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
        """What we cannot read: a newer worker's baton is left for it, anything else was put here by mistake and goes."""
        if error.newer:
            again = Message(delivery.message.body, expiration=NEWER_WAIT)
            await self._channel.publish(again, routing_key=wait_queue(self._subscriber))
        logger.error("baton.unreadable", subscriber=self._subscriber, reason=str(error), kept=error.newer)
        await delivery.ack()

    async def _refuse(self, delivery: Delivery, baton: Baton, reason: str) -> None:
        """What no worker can have written moves nothing; it lies in the subscriber's dead queue, for the case that a clock was wrong."""
        self._metrics.refused_state.labels("baton").inc()
        dead = subscriber_dead_queue(self._subscriber)
        told = f"no worker can have written this baton, or the clock of this machine is wrong: {reason}; it was put into {dead}"
        logger.error("baton.refused", subscriber=self._subscriber, epoch=baton.epoch, generation=baton.generation, reason=told)
        await self._channel.publish(Message(delivery.message.body), routing_key=dead)
        await delivery.ack()

    async def put(self, held: HeldBaton, successor: Baton) -> None:
        """Publish the successor so that it comes when it is due, wait for the confirm, then let go of the old."""
        await put_baton(self._channel, self._clock, self._subscriber, successor)
        for delivery in held.deliveries:
            await delivery.ack()

    async def reschedule(self, due: Callable[[Baton], float]) -> bool:
        """Give a waiting baton the due time that today's configuration wants; False when none waits."""
        delivery = await self._channel.get(wait_queue(self._subscriber))
        if delivery is None:
            return False
        held = await self._chosen([delivery])
        if held is not None:
            await self.put(held, replace(held.baton, due=due(held.baton)))
        return True


async def put_baton(channel: Channel, clock: Clock, subscriber: str, baton: Baton) -> None:
    """Publish it so that it comes when it is due, and wait for the confirm."""
    wait = baton.due - clock.now()
    if wait > 0:
        await channel.publish(Message(baton.encode(), expiration=wait), routing_key=wait_queue(subscriber))
    else:
        await channel.publish(Message(baton.encode()), routing_key=state_queue(subscriber))


@asynccontextmanager
async def open_lease(broker: Broker, clock: Clock, subscriber: str, metrics: Metrics | None = None) -> AsyncIterator[tuple[BatonLease, Channel]]:
    """A holder on a channel of its own, on the publishing connection; leaving it gives a baton in hand back."""
    async with broker.channel(prefetch=1, publishing=True) as channel:
        yield BatonLease(channel, clock, subscriber, Metrics() if metrics is None else metrics), channel
