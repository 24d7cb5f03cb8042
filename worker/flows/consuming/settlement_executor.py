"""Carries out a settlement: copy, confirm, then ack. A crash in between makes a copy, never a loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, ChannelLost, HeadersTooLarge, Unpublishable, Unroutable
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.message import Delivery, Message
from worker.core.outcome import DeadClass
from worker.core.ports import Broker, Clock
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.core.spans import carrying
from worker.core.topology import companion_topology, dead_queue, retry_queue
from worker.flows.consuming.copies import buried, retried
from worker.flows.consuming.returning import for_return

logger = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
DOWN_AFTER = 3  # refusals in a row before the route counts as down: some seconds
LONGEST_LIST = 1000  # characters of the names of headers that were left out


@dataclass(slots=True)
class ReadinessProblem:
    """Shows in readiness that a route cannot settle its messages."""

    health: Health
    part: str
    reported: bool = False

    def report(self, reason: str) -> None:
        self.reported = True
        self.health.down(self.part, f"a message cannot be settled: {reason}")

    def clear(self) -> None:
        if self.reported:
            self.reported = False
            self.health.up(self.part, "consuming")


@dataclass(frozen=True, slots=True)
class SettlementExecutor:
    """Settles the deliveries of one route's queue."""

    route: str
    queue: str
    delays: tuple[float, ...]
    broker: Broker
    codec: HeaderCodec
    clock: Clock
    problem: ReadinessProblem

    async def place(self, delivery: Delivery, state: DeliveryState, settlement: Settlement) -> Settlement:
        """Publish the copy that the settlement asks for, confirmed. The caller then acks the delivery.

        Returns the settlement that was carried out. A message whose copy no broker accepts is buried instead, with the reason. Raises `ChannelLost` when the
        broker is lost.
        """
        try:
            match settlement:
                case Ack():
                    pass
                case Forward(message, queue, delay) if delay > 0:
                    await self.confirmed(for_return(message, queue), retry_queue(delay))
                case Forward(message, queue):
                    await self.confirmed(carrying(message), queue)
                case Retry(delay):
                    copy = self.codec.copy(delivery.message, self.queue, retried(state, settlement))
                    if delay is None:
                        await self.confirmed(copy, self.queue)
                    else:
                        await self.confirmed(for_return(copy, self.queue), retry_queue(delay))
                case Bury():
                    await self._bury(delivery, state, settlement)
        except Unpublishable as error:
            settlement = instead(settlement, state, error)
            await self._bury(delivery, state, settlement)
        return settlement

    async def _bury(self, delivery: Delivery, state: DeliveryState, bury: Bury) -> None:
        """Publish the dead letter with the sender's headers, or without them where they leave no room for the reason.

        If no broker accepts the letter even so (its limit of bytes was lowered, say), the worker keeps the message, and the route is not ready.
        """
        dead = buried(state, bury, self.route, datetime.fromtimestamp(self.clock.now(), UTC))
        try:
            await self.confirmed(self.codec.copy(delivery.message, self.queue, dead), dead_queue(self.queue))
        except HeadersTooLarge:
            logger.warning("letter.shortened", message_id=state.message_id, headers=len(dead.headers))
            await self.confirmed(self.codec.copy(delivery.message, self.queue, shortened(dead)), dead_queue(self.queue), last=True)
        except Unpublishable:
            await self.confirmed(self.codec.copy(delivery.message, self.queue, dead), dead_queue(self.queue), last=True)

    async def confirmed(self, copy: Message, target: str, *, last: bool = False) -> None:
        """Publish until confirmed.

        The worker declares a missing queue again. It waits for a full queue and keeps the message, since dropping it is the only other way. Raises
        `Unpublishable` at once, since waiting makes no message smaller, unless this is the `last` way.
        """
        pause, refusals = FIRST_PAUSE, 0
        while True:
            try:
                await self.broker.publish(copy, routing_key=target)
            except BrokerError as error:
                if isinstance(error, Unpublishable) and not last:
                    raise
                if self.broker.lost:
                    raise ChannelLost(str(error)) from error
                refusals += 1
                if refusals >= DOWN_AFTER:
                    self.problem.report(str(error))
                logger.error("message.stuck", queue=target, reason=str(error), again_in_s=pause)
                if isinstance(error, Unroutable):
                    await self._declare_again()
                await self.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                self.problem.clear()
                return

    async def _declare_again(self) -> None:
        """Declare the dead queue and the retry queues again: one of them was deleted."""
        try:
            await self.broker.declare(companion_topology(self.queue, self.delays))
        except BrokerError as error:
            logger.error("topology.not_restored", route=self.route, reason=str(error))


def instead(settlement: Settlement, state: DeliveryState, error: Unpublishable) -> Bury:
    """Return the burial of a message whose copy no broker accepts."""
    match settlement:
        case Retry(_, attempts, doubtful, reason, state_updates, release=release):
            return Bury(
                DeadClass.DECODE,
                f"it cannot be tried again, since {error}; it was to be tried again because {reason}",
                None,
                attempts,
                doubtful,
                state_updates,
                release,
            )
        case Bury():
            return replace(settlement, reason=f"{settlement.reason}; {error}")
        case _:
            reason = f"the step is done, but its next message cannot be published: {error}"
            return Bury(DeadClass.FAILED, reason, None, state.attempts + 1, doubtful=True)


def shortened(dead: DeliveryState) -> DeliveryState:
    """Return the state of a letter with the worker's headers only. It names the sender's headers that were left out."""
    names = ", ".join(map(str, dead.headers))
    listed = names if len(names) <= LONGEST_LIST else f"{names[:LONGEST_LIST]}…"
    told = f"{len(dead.headers)} headers of the sender, which leave no room for the reason: {listed}"
    return replace(dead, headers={}, death=None if dead.death is None else replace(dead.death, left_out=told))
