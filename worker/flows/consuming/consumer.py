"""The one loop that consumes: takes deliveries, runs a handler for each, and settles what it owns, in the outermost frame."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import ChannelLost
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.identity import identity_of
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Outcome, Refused
from worker.core.ports import Broker, Channel, Clock
from worker.core.settlement import Retry, Settlement
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.availability import Availability
from worker.flows.consuming.copies import without_delay
from worker.flows.consuming.in_flight import InFlight
from worker.flows.consuming.memory import Memory, Share
from worker.flows.consuming.report import report, tell_unproven
from worker.flows.consuming.runner import DeliveryRunner, Handler, handled
from worker.flows.consuming.settlement_executor import SettlementExecutor, Trouble
from worker.flows.consuming.unread import UnreadDeliveries, too_large
from worker.flows.consuming.watchdog import stalled
from worker.flows.consuming.with_memory import with_memory
from worker.flows.waiting import first_of
from worker.metrics import Metrics

logger = structlog.get_logger()
ACKS_UNDER_WAY = 0.1  # seconds in which what earlier acks made room for arrives
DELIVERIES = "x-delivery-count"
SUSPECT = 3  # deliveries, or starts, without an end after which a message may be the one that takes workers down
LONGEST_APART = 5.0


@dataclass(frozen=True, slots=True)
class Consumption:
    """What one consumer consumes: prefetch is the concurrency, so no more than that many are ever in doubt."""

    route: str
    queue: str
    prefetch: int
    delays: tuple[float, ...]
    part: str
    declared: bool = True
    """Whether the worker declared the queue, and knows that it has a dead-letter target."""


@dataclass(frozen=True, slots=True)
class PlainJob:
    """Implements `Job` for a delivery of the route's own queue."""

    consumer: Consumer
    delivery: Delivery
    state: DeliveryState
    settler: SettlementExecutor
    session: int

    @property
    def key(self) -> Hashable:
        return identity_of(self.delivery)

    @property
    def delays(self) -> tuple[float, ...]:
        return self.settler.delays

    @property
    def may_adopt(self) -> bool:
        return self.delivery.redelivered

    async def handle(self) -> Outcome:
        return await self.consumer.handle(self.delivery, self.state)

    async def due(self, settlement: Settlement) -> Settlement:
        return await self.consumer.due(settlement, self.session)

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:  # noqa: ARG002 - the settlement says all
        return await self.settler.place(self.delivery, self.state, settlement)

    async def ack(self) -> None:
        await self.consumer.acks_allowed()
        await self.delivery.ack()

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:  # noqa: ARG002 - an acknowledged message does not come again
        return lost


class Consumer:
    """Consumes one queue, one channel after the other; handlers are detached from channels and live in `tasks`."""

    def __init__(
        self,
        consumption: Consumption,
        handler: Handler,
        needs: Availability,
        codec: HeaderCodec,
        memory: Memory,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        *,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._what = consumption
        self._handler = handler
        self._needs = needs
        self._codec = codec
        self._memory = memory
        self._unread = UnreadDeliveries(consumption.route, consumption.part, consumption.declared, memory, clock, metrics, health)
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._tasks = tasks
        self._runner = DeliveryRunner(
            consumption.route,
            memory.receipts.ledger,
            memory,
            clock,
            metrics.in_hand.labels(consumption.route),
            InFlight(),
            partial(report, metrics, consumption.route),
        )
        self._session = 0
        self._lost_session = 0
        self._stop = asyncio.Event()
        self._arrivals = 0
        self._stalled = False
        self._may_ack = asyncio.Event()
        self._settling: dict[asyncio.Task[None], int] = {}

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Consume until `stop`, then finish what is in hand; raises `BrokerError` when the attachment is lost."""
        self._stop = stop
        while not stop.is_set():
            if not self._needs.available:
                self._health.up(self._what.part, "not consuming while its Halo client is down")
                await first_of(self._needs.wait_available(), stop.wait(), broker.wait_lost())
                if not self._needs.available:
                    return
            async with broker.channel(prefetch=self._what.prefetch) as channel:
                await self._consume(broker, channel, stop)

    async def _consume(self, broker: Broker, channel: Channel, stop: asyncio.Event) -> None:
        self._session += 1
        session = self._session
        settler = SettlementExecutor(
            self._what.route, self._what.queue, self._what.delays, broker, self._codec, self._clock, Trouble(self._health, self._what.part)
        )
        self._may_ack.set()
        arrivals = Arrivals(self._memory)
        try:
            await self._while_well(broker, channel, stop, settler, session, arrivals)
        finally:
            arrivals.close()

    async def _while_well(self, broker: Broker, channel: Channel, stop: asyncio.Event, settler: SettlementExecutor, session: int, arrivals: Arrivals) -> None:
        tag = await channel.consume(self._what.queue, lambda delivery: self._accept(delivery, settler, session, arrivals), keep=arrivals.keep)
        if not self._stalled:
            self._health.up(self._what.part, "consuming")
        consuming = self._metrics.consuming.labels(self._what.route)
        consuming.set(1)
        try:
            ended = await first_of(channel.wait_closed(), stop.wait(), self._needs.wait_unavailable(), self._stalls(broker, session))
        finally:
            consuming.set(0)
        if isinstance(ended, str):
            self._lost_session = session
            self._health.down(self._what.part, f"not consuming: {ended}")
            logger.warning("consumer.lost", route=self._what.route, reason=ended)
            return
        arrivals.end()
        await self._cancel(channel, tag)
        while self._settling:  # ours until settled: the channel stays open for the acks
            await asyncio.wait(self._settling)

    async def _stalls(self, broker: Broker, session: int) -> str:
        """Ends when this consumer gets nothing though it should; the channel is then opened anew, and it counts as down until something comes."""

        def has_room() -> bool:
            return list(self._settling.values()).count(session) < self._what.prefetch

        reason = await stalled(broker, self._clock, self._what.queue, lambda: self._arrivals, has_room, self._well)
        self._stalled = True
        return reason

    def _well(self) -> None:
        if self._stalled:
            self._stalled = False
            self._health.up(self._what.part, "consuming")

    async def _cancel(self, channel: Channel, tag: str) -> None:
        """Stop consuming while nothing is acked.

        An ack makes room for the next message. A quorum queue then picks one for us that RabbitMQ, meeting the cancellation, never sends; it comes back when the
        channel closes and counts as delivered, so that a create that nobody started would be in doubt.
        """
        self._may_ack.clear()
        try:
            await self._clock.sleep(ACKS_UNDER_WAY)
            await channel.cancel(tag)
        finally:
            self._may_ack.set()

    def _accept(self, delivery: Delivery, settler: SettlementExecutor, session: int, arrivals: Arrivals) -> None:
        self._arrivals += 1
        self._well()
        task = self._tasks.create_task(self._own_share(delivery, settler, session, arrivals, arrivals.share_of(delivery)))
        self._settling[task] = session
        task.add_done_callback(self._settling.pop)

    async def _own_share(self, delivery: Delivery, settler: SettlementExecutor, session: int, arrivals: Arrivals, share: Share) -> None:
        """The body's memory goes with the delivery."""
        try:
            if delivery.unread is None:
                state = await self._memory.receipts.read(delivery, self._codec.read(delivery))
                tell_unproven(self._what.route, state)
                await self._runner.own(PlainJob(self, delivery, state, settler, session))
            else:
                with structlog.contextvars.bound_contextvars(route=self._what.route):
                    await self._unread.settle(delivery, delivery.unread, arrivals)
        finally:
            share.release()

    async def handle(self, delivery: Delivery, state: DeliveryState) -> Outcome:
        """Run the handler, once there is memory for its work."""
        if pause := redelivery_delay(delivery):
            await first_of(self._clock.sleep(pause), self._stop.wait())
        if (size := len(delivery.message.body)) > self._memory.largest:  # read all the same, since the broker must not bury it
            return Refused(DeadClass.DECODE, too_large(size, self._memory.largest))
        return await with_memory(self._memory, delivery, partial(handled, self._handler, delivery, state), self._stop)

    async def due(self, settlement: Settlement, session: int) -> Settlement:
        """The settlement when its time has come, or at once when the worker stops. Raises `ChannelLost` when the broker hands the message out again."""
        if isinstance(settlement, Retry) and settlement.hold > 0:
            await first_of(self._clock.sleep(settlement.hold), self._stop.wait())
            settlement = without_delay(settlement) if self._stop.is_set() else settlement
        if session <= self._lost_session:
            raise ChannelLost("its channel was lost: the message is delivered and settled again")
        return settlement

    async def acks_allowed(self) -> None:
        """Returns while this consumer is not being cancelled."""
        await self._may_ack.wait()


def redelivery_delay(delivery: Delivery) -> float:
    """Seconds before a message that was handed out again and again is begun.

    At random: one that takes its worker down would else take the same neighbours with it each time, until the broker buries them all.
    """
    deliveries = delivery.message.headers.get(DELIVERIES) if delivery.redelivered else None  # at the first delivery only its sender can have written it
    if not isinstance(deliveries, int) or deliveries < SUSPECT:
        return 0.0
    return random.uniform(0.0, min(LONGEST_APART, deliveries - SUSPECT + 1))  # noqa: S311 - keeps no secret
