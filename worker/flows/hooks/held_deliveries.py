"""Deliveries to a paused webhook: stored in a queue of their own, since Halo sends nothing again, and accepted when the webhook is resumed."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from worker.core.errors import EvaluatorUnavailable, Undecodable, Unpublishable
from worker.core.health import Health
from worker.core.message import Delivery
from worker.core.ports import Broker, Channel, Clock
from worker.core.repeats import Repeats
from worker.core.topology import Topology, browsable_queue, held_queue
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.waiting import race
from worker.threads import read_body

logger = structlog.get_logger()
PREFETCH = 10
RETRY = 1.0  # seconds until the next try to accept a delivery whose expressions could not be evaluated


def held_topology(webhook: str) -> Topology:
    return Topology(queues=(browsable_queue(held_queue(webhook)),))


class HeldDeliveries:
    """Accepts the stored deliveries of one webhook, in order. A delivery that is accepted twice has its effects once."""

    def __init__(self, webhook: str, intake: DeliveryIntake, clock: Clock, health: Health) -> None:
        self._webhook = webhook
        self._intake = intake
        self._clock = clock
        self._health = health
        self._repeats = Repeats()

    @property
    def part(self) -> str:
        """Its name in the readiness report."""
        return f"webhook {self._webhook}"

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Accept deliveries until `stop`, which a pause sets as well. Raises `BrokerError`."""
        while not stop.is_set():
            async with broker.channel(prefetch=PREFETCH) as channel:
                arrived: asyncio.Queue[Delivery] = asyncio.Queue()
                await channel.consume(held_queue(self._webhook), arrived.put_nowait)
                self._health.up(self.part, "accepting deliveries")
                await self._accept_all(channel, arrived, stop)

    async def _accept_all(self, channel: Channel, arrived: asyncio.Queue[Delivery], stop: asyncio.Event) -> None:
        while not stop.is_set():
            delivery = await race(arrived.get(), channel.wait_closed(), stop.wait())
            if isinstance(delivery, str):
                self._health.down(self.part, f"its channel was closed: {delivery}")
                return
            if isinstance(delivery, bool):
                return
            if await self._accepted(delivery, stop):
                await delivery.ack()

    async def _accepted(self, delivery: Delivery, stop: asyncio.Event) -> bool:
        """False when the worker or the route stops first: the delivery then waits in its queue."""
        try:
            document = await delivery_of_message(delivery)
        except Undecodable as error:
            self._warn_foreign(delivery, f"no worker put it on {delivery.queue}: {error}")
            return True
        while not stop.is_set():
            try:
                await self._intake.accept(f"/webhooks/{self._webhook}", document, held=False)
            except EvaluatorUnavailable as error:
                if self._repeats.due(str(error), self._clock.monotonic()):
                    logger.warning("evaluation.waits", reason=str(error), again_in_s=RETRY)
                await race(self._clock.sleep(RETRY), stop.wait())
            except Unpublishable as error:  # a later attempt would fail too, and other deliveries wait behind it
                await self._intake.park(self._webhook, document, f"what the route makes of it cannot be published: {error}")
                return True
            else:
                return True
        return False

    def _warn_foreign(self, delivery: Delivery, reason: str) -> None:
        logger.error("delivery.foreign", route=self._webhook, message_id=delivery.message.message_id, reason=reason)


async def delivery_of_message(delivery: Delivery) -> dict[str, Any]:
    """Return the delivery that the public port stored. Raises `Undecodable` for anything else."""
    document = await read_body(delivery.message)
    if not isinstance(document, dict):
        raise Undecodable("it is no object")
    return document
