"""The mover of an ordered route: takes messages from the route's queue one by one and gives each its place in the waiting room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import ChannelLost, PublishDoubtful, PublishRefused, Unpublishable
from worker.core.json_codec import WEIGHT_OF_BYTE
from worker.core.message import Announced, Delivery, Message, memory_of
from worker.core.outcome import DeadClass, Refused
from worker.core.ports import Broker, Channel
from worker.core.settlement import Bury
from worker.core.topology import order_room
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.consumer import ACKS_UNDER_WAY
from worker.flows.consuming.memory import size_of
from worker.flows.consuming.report import report
from worker.flows.consuming.runner import tell_unproven
from worker.flows.consuming.settlement_executor import FIRST_PAUSE, LONGEST_PAUSE, SettlementExecutor
from worker.flows.consuming.unread import UnreadDeliveries
from worker.flows.ordered.given_back import GivenBack
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage, key_of, moved
from worker.flows.waiting import race

logger = structlog.get_logger()
IN_HAND = 16  # messages that are taken ahead; after a crash at most this many may have been moved already
MOST_WAITING = 10_000
MOST_AHEAD = 4 * 1024 * 1024  # bytes of bodies that are taken ahead
STAYS_NARROW = 100  # messages that are then taken one by one: each that goes back counts as delivered, which must not come often


@dataclass(frozen=True, slots=True)
class Newest:
    """The message of the room with the highest sequence: what was moved last, so that its original may still be in the queue."""

    message_id: str
    body: bytes

    def is_copy_of(self, delivery: Delivery) -> bool:
        return delivery.redelivered and self.message_id != "" and (self.message_id, self.body) == (delivery.message.message_id, delivery.message.body)


class Intake:
    """Taking, publishing and acknowledging are on one channel: of several messages in hand only the first can have been moved and not acknowledged.

    `room`: set while there is room for more.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        broker: Broker,
        settler: SettlementExecutor,
        lanes: Lanes[WaitingMessage],
        unread: UnreadDeliveries,
        sequence: int,
        newest: Newest | None,
    ) -> None:
        self._route = deps.route
        self._evaluator = deps.evaluator
        self._codec = deps.codec
        self._memory = deps.memory
        self._clock = deps.clock
        self._metrics = deps.metrics
        self._broker = broker
        self._settler = settler
        self._lanes = lanes
        self._unread = unread
        self._sequence = sequence
        self._newest = newest
        self._room = asyncio.Event()
        self._one_by_one = 0
        self._given_back = GivenBack()
        self.changed()

    def changed(self) -> None:
        """The lanes became longer or shorter."""
        if len(self._lanes) < MOST_WAITING and self._lanes.size < self._memory.room_bytes:
            self._room.set()
        else:
            self._room.clear()

    async def run(self, closing: asyncio.Event) -> None:
        """Move until `closing`. Raises `BrokerError`."""
        while not closing.is_set():
            await race(self._room.wait(), closing.wait())
            if not closing.is_set():
                async with self._broker.channel(prefetch=1 if self._one_by_one else IN_HAND, publishing=True) as channel:
                    await self._stretch(channel, closing)

    async def _stretch(self, channel: Channel, closing: asyncio.Event) -> None:
        """As long as there is room. Nothing is acknowledged while consuming is cancelled: see `Consumer`."""
        arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        ahead, arrivals = Ahead(self._memory.largest), Arrivals(self._memory)
        narrow, left = self._one_by_one > 0, False
        tag = await channel.consume(self._route.queue, arrived.put_nowait, keep=ahead.keep)
        while self._room.is_set() and not closing.is_set() and not left and narrow == (self._one_by_one > 0):
            if arrived.empty():
                delivery = await race(arrived.get(), channel.wait_closed(), closing.wait())
            else:
                delivery = arrived.get_nowait()
            if isinstance(delivery, str):
                raise ChannelLost(delivery)
            if not isinstance(delivery, bool):
                left = not await self._taken(channel, delivery, ahead, arrivals)
        arrivals.end()
        await self._clock.sleep(ACKS_UNDER_WAY)
        await channel.cancel(tag)
        await asyncio.sleep(0)
        while not arrived.empty():
            delivery = arrived.get_nowait()
            if left or not await self._taken(channel, delivery, ahead, arrivals):
                left = True
                self._given_back.add(delivery)

    async def _taken(self, channel: Channel, delivery: Delivery, ahead: Ahead, arrivals: Arrivals) -> bool:
        """False where it came without its body, since too much was in hand: from here on all goes back, and is taken one by one."""
        if pause := self._given_back.pause_before(delivery):
            await self._clock.sleep(pause)
            self._given_back.add(delivery)
            ahead.settled(len(delivery.message.body))
            await delivery.give_back()
            return True
        if delivery.unread is None:
            await self._move(channel, delivery, unbegun=self._given_back.take(delivery))
            ahead.settled(len(delivery.message.body))
            self._one_by_one = max(0, self._one_by_one - 1)
            return True
        if delivery.unread.size > self._memory.largest:
            await self._unread.refuse(delivery, delivery.unread, arrivals)
            return True
        self._given_back.add(delivery)
        self._one_by_one = STAYS_NARROW
        return False

    async def _move(self, channel: Channel, delivery: Delivery, *, unbegun: bool) -> None:
        newest, self._newest = self._newest, None
        if newest is not None and newest.is_copy_of(delivery):
            await delivery.ack()
            return
        state = self._codec.read(delivery)
        tell_unproven(self._route.name, state)
        if unbegun:
            state = replace(state, redelivered=False)
        async with self._memory.working(size_of(delivery.message, self._memory.largest), WEIGHT_OF_BYTE):
            key = await key_of(self._route, delivery, state, self._evaluator, self._clock, self._memory.largest)
            self._sequence += 1
            entry = self._lanes.expect((self._sequence, state.message_id), None if isinstance(key, Refused) else key, memory_of(delivery.message))
            self.changed()
            try:
                copy = self._codec.copy(delivery.message, self._route.queue, moved(delivery, state, self._sequence, self._clock.now()))
                await self._confirmed(channel, copy)
            except Unpublishable as error:
                await self._refuse(delivery, state, error)
                self._lanes.forget(entry)
        await delivery.ack()

    async def _refuse(self, delivery: Delivery, state: DeliveryState, error: Unpublishable) -> None:
        """What has no room for the stamp of its place cannot be kept in order."""
        refused = Refused(DeadClass.DECODE, f"it cannot be kept in order: {error}")
        bury = Bury(refused.dead_class, refused.reason, None, state.attempts + 1, state.doubtful)
        report(self._metrics, self._route.name, refused, await self._settler.place(delivery, state, bury), state, 0.0)

    async def _confirmed(self, channel: Channel, copy: Message) -> None:
        """Publish until confirmed: a copy too many has the same place, and is one with it. Raises `Unpublishable`."""
        pause = FIRST_PAUSE
        while True:
            try:
                await channel.publish(copy, routing_key=order_room(self._route.queue))
            except Unpublishable:
                raise
            except (PublishDoubtful, PublishRefused) as error:
                logger.error("message.stuck", queue=order_room(self._route.queue), reason=str(error), again_in_s=pause)
                await self._clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return


class Ahead:
    """Bodies that are taken ahead on one channel: the first one always, more of them while they are not too large together."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._size = 0

    def keep(self, announced: Announced) -> bool:
        """What the channel asks before a body comes."""
        if announced.size > self._largest or (self._size and self._size + announced.size > MOST_AHEAD):
            return False
        self._size += announced.size
        return True

    def settled(self, size: int) -> None:
        self._size -= size
