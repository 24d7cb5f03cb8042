"""The waiting room of an ordered route, as its one owner sees it: everything that is in it, in lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import structlog

from worker.config.routes import Publisher
from worker.core.errors import ChannelLost
from worker.core.message import Delivery, Message, up_to
from worker.core.outcome import Refused
from worker.core.ports import Channel, Clock
from worker.core.topology import order_room
from worker.flows.consuming.envelope import opened
from worker.flows.consuming.handling import SUSPECT
from worker.flows.consuming.unread import REMEDY, too_large
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import MARKER, SEQUENCE, Roomed, key_of, moved_on, roomed
from worker.flows.waiting import first_of

logger = structlog.get_logger()
PREFETCH = 2000  # a quorum queue gives no consumer more
CONSUMERS = 6
LOOK_EVERY = 30.0
LONGEST_IN_HAND = 600.0  # seconds; after 30 minutes the broker takes back what is not acknowledged, and its log is only cut behind the oldest message


class Room:
    """Made for the life of one channel, which has `PREFETCH`. `changed` is called after whatever may let something run."""

    def __init__(self, route: Publisher, channel: Channel, lanes: Lanes[Roomed], largest: int, clock: Clock, changed: Callable[[], None]) -> None:
        self._route = route
        self._queue = order_room(route.queue)
        self._channel = channel
        self._lanes = lanes
        self._largest = largest
        self._clock = clock
        self._changed = changed
        self._marker = uuid4().hex
        self._loaded = asyncio.Event()
        self._arrived = 0
        self._some = asyncio.Event()
        self._surplus: asyncio.Queue[Delivery] = asyncio.Queue()
        self._unread = 0

    async def load(self) -> None:
        """Take in everything: a marker that is put behind it tells when that is done. Raises `BrokerError`.

        One consumer after the other is filled: then nothing can arrive later than the marker.
        """
        await self._channel.publish(Message(b"", {MARKER: self._marker}), routing_key=self._queue)
        for number in range(1, CONSUMERS + 1):
            await self._channel.consume(self._queue, self._arrive, keep=up_to(self._largest))
            while not self._loaded.is_set() and self._arrived < number * PREFETCH:
                self._some.clear()
                lost = await first_of(self._some.wait(), self._channel.wait_closed())
                if isinstance(lost, str):
                    raise ChannelLost(lost)
        if self._unread:
            raise ChannelLost(f"{self._unread} messages in {self._queue} are too large to be read, so that nothing can be kept in order with them: {REMEDY}")
        if not self._loaded.is_set():
            logger.error(
                "order.overfull", route=self._route.name, queue=self._queue, reason="more messages than ever should be are in it; their order may suffer"
            )

    async def let_go(self) -> None:
        """Acknowledge what is not needed, for as long as this is awaited."""
        while True:
            await self._let_go_of(await self._surplus.get())

    async def let_go_of_all(self) -> None:
        """Acknowledge what is not needed so far: a copy must not outlive the one that counts."""
        while not self._surplus.empty():
            await self._let_go_of(self._surplus.get_nowait())

    async def _let_go_of(self, delivery: Delivery) -> None:
        headers = delivery.message.headers
        if SEQUENCE not in headers and MARKER not in headers:
            await self._channel.publish(delivery.message, routing_key=self._route.queue)
            logger.warning(
                "order.foreign", route=self._route.name, reason=f"what somebody put on {self._queue} goes through {self._route.queue} as all others do"
            )
        await delivery.ack()

    async def refresh(self) -> None:
        """What waits for long goes to the end of the room: its copy takes its place."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            for entry in self._lanes.idle_since(self._clock.monotonic() - LONGEST_IN_HAND):
                if entry.item is not None:
                    await self._channel.publish(moved_on(entry.item, opened(entry.item), self._clock.now()), routing_key=self._queue)

    def _arrive(self, delivery: Delivery) -> None:
        self._arrived += 1
        self._some.set()
        headers = delivery.message.headers
        if delivery.unread is not None:  # it stays in hand: this queue has no dead-letter target
            self._unread += SEQUENCE in headers  # one of ours, from before the limit was lowered: its key cannot be told
            reason = f"{too_large(delivery.unread.size, self._largest)}, and stays in {self._queue}: {REMEDY}"
            logger.error("order.unreadable", route=self._route.name, message_id=delivery.message.message_id, reason=reason)
        elif MARKER in headers:
            if headers[MARKER] == self._marker:
                self._loaded.set()
            self._surplus.put_nowait(delivery)
        elif SEQUENCE not in headers:
            self._surplus.put_nowait(delivery)
        else:
            self._take_in(roomed(delivery, self._route.queue))
            self._changed()

    def _take_in(self, item: Roomed) -> None:
        envelope = opened(item)
        entry = self._lanes.known(item.place)
        if entry is None:
            key = key_of(self._route, item, envelope)
            entry = self._lanes.expect(item.place, None if isinstance(key, Refused) else key, len(item.message.body))
        surplus = self._lanes.arrive(
            entry, item, made=(envelope.attempts, envelope.tries), due=item.stamp.due, careful=item.stamp.starts >= SUSPECT, now=self._clock.monotonic()
        )
        if surplus is not None:
            self._surplus.put_nowait(surplus.delivery)
