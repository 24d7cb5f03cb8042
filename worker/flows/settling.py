"""Carries out a settlement: copy, confirm, then ack. A crash in between makes a copy, never a loss."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.settlement import Ack, Bury, Retry, Settlement
from worker.core.topology import dead_queue, retry_queue
from worker.flows.envelope import Envelope, dead_letter, retry_copy

logger = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles the deliveries of one route's queue."""

    route: str
    queue: str
    broker: Broker
    clock: Clock

    async def settle(self, delivery: Delivery, envelope: Envelope, settlement: Settlement) -> None:
        """Raises `ChannelLost` when the delivery is no longer ours: the broker hands it out again."""
        match settlement:
            case Ack():
                pass
            case Retry(delay, attempts, doubtful, reason):
                target = self.queue if delay is None else retry_queue(self.queue, delay)
                copy = retry_copy(delivery, envelope, attempts, doubtful=doubtful, reason=reason)
                await self._placed(copy, target)
            case Bury():
                at = datetime.fromtimestamp(self.clock.now(), UTC)
                await self._placed(dead_letter(delivery, envelope, settlement, self.route, at), dead_queue(self.queue))
        await delivery.ack()

    async def _placed(self, copy: Message, target: str) -> None:
        """Publish until confirmed: a full or missing queue is waited for with the message in hand, since dropping it is the only other way."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.broker.publish(copy, routing_key=target)
            except ChannelLost:
                raise
            except BrokerError as error:
                logger.error("message.stuck", queue=target, reason=str(error), again_in_s=pause)
                await self.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return
