"""The mover of an ordered route: takes messages from the route's queue one by one and gives each its place in the waiting room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState
from worker.core.errors import ChannelLost, PublishDoubtful, PublishRefused, Unpublishable
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery, Message
from worker.core.outcome import DeadClass, Refused
from worker.core.ports import Broker, Channel, Clock, Evaluator
from worker.core.settlement import Bury
from worker.core.topology import order_room
from worker.flows.consuming.consumer import ACKS_UNDER_WAY
from worker.flows.consuming.handling import tell_unproven
from worker.flows.consuming.settling import FIRST_PAUSE, LONGEST_PAUSE, Settler
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import Roomed, key_of, moved
from worker.flows.waiting import first_of

logger = structlog.get_logger()
IN_HAND = 16  # messages that are taken ahead; after a crash so many may have been moved already
MOST_WAITING = 10_000
MOST_BYTES = 64 * 1024 * 1024  # in the memory of whoever keeps the order


@dataclass(frozen=True, slots=True)
class Newest:
    """The message of the room with the highest sequence: what was moved last, so that its original may still be in the queue."""

    message_id: str
    body: bytes

    def is_copy_of(self, delivery: Delivery) -> bool:
        return delivery.redelivered and self.message_id != "" and (self.message_id, self.body) == (delivery.message.message_id, delivery.message.body)


class Mover:
    """Taking, publishing and acknowledging are on one channel: of several messages in hand only the first can have been moved and not acknowledged.

    `room`: set while there is room for more.
    """

    def __init__(
        self,
        route: Publisher,
        broker: Broker,
        settler: Settler,
        evaluator: Evaluator,
        codec: HeaderCodec,
        clock: Clock,
        lanes: Lanes[Roomed],
        *,
        sequence: int,
        newest: Newest | None,
    ) -> None:
        self._route = route
        self._broker = broker
        self._settler = settler
        self._evaluator = evaluator
        self._codec = codec
        self._clock = clock
        self._lanes = lanes
        self._sequence = sequence
        self._newest = newest
        self._room = asyncio.Event()
        self.changed()

    def changed(self) -> None:
        """The lanes became longer or shorter."""
        if len(self._lanes) < MOST_WAITING and self._lanes.size < MOST_BYTES:
            self._room.set()
        else:
            self._room.clear()

    async def run(self, closing: asyncio.Event) -> None:
        """Move until `closing`. Raises `BrokerError`."""
        while not closing.is_set():
            await first_of(self._room.wait(), closing.wait())
            if not closing.is_set():
                async with self._broker.channel(prefetch=IN_HAND, publishing=True) as channel:
                    await self._stretch(channel, closing)

    async def _stretch(self, channel: Channel, closing: asyncio.Event) -> None:
        """As long as there is room. Nothing is acknowledged while consuming is cancelled: see `Consumer`."""
        arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        tag = await channel.consume(self._route.queue, arrived.put_nowait)
        while self._room.is_set() and not closing.is_set():
            if arrived.empty():
                delivery = await first_of(arrived.get(), channel.wait_closed(), closing.wait())
            else:
                delivery = arrived.get_nowait()
            if isinstance(delivery, str):
                raise ChannelLost(delivery)
            if not isinstance(delivery, bool):
                await self._move(channel, delivery)
        await self._clock.sleep(ACKS_UNDER_WAY)
        await channel.cancel(tag)
        await asyncio.sleep(0)
        while not arrived.empty():
            await self._move(channel, arrived.get_nowait())

    async def _move(self, channel: Channel, delivery: Delivery) -> None:
        newest, self._newest = self._newest, None
        if newest is not None and newest.is_copy_of(delivery):
            await delivery.ack()
            return
        state = self._codec.read(delivery)
        tell_unproven(self._route.name, state)
        key = await key_of(self._route, delivery, state, self._evaluator, self._clock)
        self._sequence += 1
        entry = self._lanes.expect((self._sequence, state.message_id), None if isinstance(key, Refused) else key, len(delivery.message.body))
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
        bury = Bury(DeadClass.DECODE, f"it cannot be kept in order: {error}", None, state.attempts + 1, state.doubtful)
        logger.error("message.dead", message_id=state.message_id, dead_class=bury.dead_class.value, reason=bury.reason)
        await self._settler.place(delivery, state, bury)

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
