"""Carries out a settlement: copy, confirm, then ack. A crash in between makes a copy, never a loss."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from worker.core.errors import BrokerError, ChannelLost, Unroutable
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.core.topology import companion_topology, dead_queue, retry_queue
from worker.flows.consuming.envelope import Envelope, dead_letter, retry_copy

logger = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles the deliveries of one route's queue."""

    route: str
    queue: str
    delays: tuple[float, ...]
    broker: Broker
    clock: Clock

    async def place(self, delivery: Delivery, envelope: Envelope, settlement: Settlement) -> None:
        """Put the copy where the settlement wants it, confirmed; the delivery itself is then to be acked. Raises `ChannelLost` when the broker is lost."""
        match settlement:
            case Ack():
                pass
            case Forward(message, queue):
                await self._confirmed(message, queue)
            case Retry(delay):
                target = self.queue if delay is None else retry_queue(self.queue, delay)
                await self._confirmed(retry_copy(delivery, envelope, settlement), target)
            case Bury():
                at = datetime.fromtimestamp(self.clock.now(), UTC)
                await self._confirmed(dead_letter(delivery, envelope, settlement, self.route, at), dead_queue(self.queue))

    async def _confirmed(self, copy: Message, target: str) -> None:
        """Publish until confirmed: a missing queue is declared again, a full one waited for with the message in hand, since dropping it is the only other way."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.broker.publish(copy, routing_key=target)
            except BrokerError as error:
                if self.broker.lost:
                    raise ChannelLost(str(error)) from error
                logger.error("message.stuck", queue=target, reason=str(error), again_in_s=pause)
                if isinstance(error, Unroutable):
                    await self._declare_again()
                await self.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return

    async def _declare_again(self) -> None:
        """Somebody deleted the dead queue or a retry queue."""
        try:
            await self.broker.declare(companion_topology(self.queue, self.delays))
        except BrokerError as error:
            logger.error("topology.not_restored", route=self.route, reason=str(error))
