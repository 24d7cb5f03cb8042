"""One delivery of a route's own queue: how the worker begins it, settles it, and acknowledges it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial

from worker.core.delivery_state import DeliveryState
from worker.core.entropy import uniform
from worker.core.errors import ChannelLost
from worker.core.message import Delivery, identity_of
from worker.core.outcome import DeadClass, Outcome, Refused
from worker.core.ports import Clock
from worker.core.settlement import Retry, Settlement
from worker.flows.consuming.copies import without_delay
from worker.flows.consuming.dropped_body import too_large
from worker.flows.consuming.memory import Memory, with_memory
from worker.flows.consuming.runner import Handler
from worker.flows.consuming.settlement_executor import SettlementExecutor
from worker.flows.waiting import race
from worker.waits import waiting_for

DELIVERIES = "x-delivery-count"
SUSPECT = 3  # deliveries, or starts, without a result: after these the message may be the one that crashes workers
LONGEST_DELAY = 5.0


@dataclass(slots=True, eq=False)
class ChannelSession:
    """The life of one channel. `may_ack`: set while the consumer is not being cancelled. `lost`: the broker delivers the session's messages again."""

    number: int
    settler: SettlementExecutor
    stop: asyncio.Event
    lost: bool = False
    may_ack: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.may_ack.set()


@dataclass(frozen=True, slots=True)
class PlainJob:
    """Implements `Job`."""

    delivery: Delivery
    state: DeliveryState
    within: ChannelSession
    handler: Handler
    memory: Memory
    clock: Clock

    @property
    def key(self) -> Hashable:
        return identity_of(self.delivery)

    @property
    def session(self) -> int:
        return self.within.number

    @property
    def delays(self) -> tuple[float, ...]:
        return self.within.settler.delays

    @property
    def may_join(self) -> bool:
        return self.delivery.redelivered

    async def handle(self) -> Outcome:
        """Run the handler, once there is memory for its work."""
        if pause := redelivery_delay(self.delivery):
            await race(self.clock.sleep(pause), self.within.stop.wait())
        if (size := len(self.delivery.message.body)) > self.memory.largest:  # the worker read it only because RabbitMQ must not dead-letter it
            return Refused(DeadClass.DECODE, too_large(size, self.memory.largest))
        return await with_memory(self.memory, self.delivery, partial(self.handler, self.delivery, self.state), self.within.stop)

    async def due(self, settlement: Settlement) -> Settlement:
        """Return the settlement when its time has come, or at once when the worker stops."""
        if isinstance(settlement, Retry) and settlement.hold > 0:
            with waiting_for("retry", f"its next attempt in {settlement.hold:g} s: {settlement.reason}"):
                await race(self.clock.sleep(settlement.hold), self.within.stop.wait())
            settlement = without_delay(settlement) if self.within.stop.is_set() else settlement
        if self.within.lost:
            raise ChannelLost("its channel was lost: the message is delivered and settled again")
        return settlement

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:  # noqa: ARG002 - the settlement says all
        return await self.within.settler.place(self.delivery, self.state, settlement)

    async def ack(self) -> None:
        await self.within.may_ack.wait()
        await self.delivery.ack()

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:  # noqa: ARG002 - an acknowledged message does not come again
        return lost


def redelivery_delay(delivery: Delivery) -> float:
    """Return the seconds to wait before a message that was delivered several times begins.

    The delay is random. Otherwise a message that crashes workers would take the same neighbours down each time, until RabbitMQ dead-letters them all.
    """
    deliveries = delivery.message.headers.get(DELIVERIES) if delivery.redelivered else None  # at the first delivery only its sender can have written it
    if not isinstance(deliveries, int) or deliveries < SUSPECT:
        return 0.0
    return uniform(0.0, min(LONGEST_DELAY, deliveries - SUSPECT + 1))
