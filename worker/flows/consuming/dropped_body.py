"""Deliveries without their bodies: too large ones are dead-lettered unread, the others come again when there is memory for them."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from worker.core.errors import ChannelLost
from worker.core.health import Health
from worker.core.message import Delivery, DroppedBody
from worker.core.outcome import DeadClass
from worker.core.ports import Clock
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.memory import Memory
from worker.flows.waiting import race
from worker.metrics import Metrics

logger = structlog.get_logger()
BACK_WITHIN = 5.0  # seconds in which a message that was given back comes again, unless another consumer gets it


@dataclass(frozen=True, slots=True)
class BodylessDeliveries:
    """The deliveries of one route's queue without their bodies. `rejectable`: the queue has a dead-letter target, since the worker declared it."""

    route: str
    part: str
    rejectable: bool
    memory: Memory
    clock: Clock
    metrics: Metrics
    health: Health

    async def settle(self, delivery: Delivery, dropped_body: DroppedBody, arrivals: Arrivals) -> None:
        """Refuse the delivery, or have it delivered again with its body. It stays unacknowledged where rejecting would lose it."""
        try:
            if dropped_body.size > self.memory.largest and not self.is_buried_as_copy(delivery):
                await self.refuse(delivery, dropped_body, arrivals)
            else:
                await self._redeliver_with_body(delivery, dropped_body, arrivals)
        except ChannelLost as error:
            logger.warning("message.unsettled", message_id=delivery.message.message_id, reason=str(error))

    def is_buried_as_copy(self, delivery: Delivery) -> bool:
        """Whether the worker must read a too large message all the same, alone, since the broker must not dead-letter it."""
        return self.rejectable and died_before(delivery)

    async def refuse(self, delivery: Delivery, dropped_body: DroppedBody, arrivals: Arrivals) -> bool:
        """Have the broker dead-letter a message that is too large. False if the message stays unacknowledged until the arrivals end. Raises `ChannelLost`."""
        reason = too_large(dropped_body.size, self.memory.largest)
        if self.rejectable and not died_before(delivery):
            await delivery.reject()
            self.metrics.messages.labels(self.route, f"dead_{DeadClass.DECODE.value}").inc()
            logger.error("message.dead", message_id=delivery.message.message_id, dead_class=DeadClass.DECODE.value, reason=reason)
            return True
        why = "it says that it was dead-lettered before" if self.rejectable else f"the queue {delivery.queue!r} is not declared by the worker"
        stuck = f"{reason}. The broker may drop it when it is rejected, since {why}; so the message is kept: {REMEDY}"
        logger.error("message.stuck", message_id=delivery.message.message_id, queue=delivery.queue, reason=stuck)
        self.health.down(self.part, stuck)
        await arrivals.ending.wait()
        return False

    async def _redeliver_with_body(self, delivery: Delivery, dropped_body: DroppedBody, arrivals: Arrivals) -> None:
        """Wait for memory, reserve it, and have the broker deliver the message again. Raises `ChannelLost`."""
        await self.memory.receipts.leave(delivery)
        share = await race(self.memory.body(dropped_body.size), arrivals.ending.wait())
        if isinstance(share, bool):
            return  # RabbitMQ delivers it again when its channel closes
        if arrivals.ending.is_set():
            share.release()
            return
        reserved = arrivals.reserve(delivery, dropped_body, share)
        try:
            await delivery.give_back()
            await race(reserved.arrived.wait(), arrivals.ending.wait(), self.clock.sleep(BACK_WITHIN))
        finally:
            arrivals.withdraw(reserved)


def died_before(delivery: Delivery) -> bool:
    """Whether the headers of the message name a death.

    RabbitMQ 3.10 believes such headers from any sender: a malformed one ends all dead-lettering of the node, a forged cycle drops the message. So the worker
    does not ask the broker to dead-letter such a message: it reads the message alone, and buries it as a copy.
    """
    return "x-death" in delivery.message.headers


REMEDY = "raise WORKER_MAX_MESSAGE, or take the message out of the queue"


def too_large(size: int, largest: int) -> str:
    return f"the message has {size:,} bytes; at most {largest:,} are read (WORKER_MAX_MESSAGE)"
