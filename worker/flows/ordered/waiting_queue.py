"""The waiting queue of an ordered route, as its one owner sees it: all its messages, in lanes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

import structlog

from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.entropy import new_id
from worker.core.errors import ChannelLost, Unpublishable
from worker.core.header_fields import ORDER
from worker.core.message import Delivery, Message, memory_of, up_to
from worker.core.ports import Channel
from worker.core.topology import order_queue
from worker.flows.consuming.dropped_body import REMEDY, too_large
from worker.flows.consuming.plain_job import SUSPECT
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Lanes, MessageKeys
from worker.flows.ordered.messages import WaitingMessage, keys_of, state_at_the_end, waiting_message
from worker.flows.waiting import race

logger = structlog.get_logger()
PREFETCH = 2000  # a quorum queue gives no consumer more
SPARE = 2000  # deliveries besides the waiting messages: copies of messages that are to be tried again, and surplus copies
KEY_BATCH = 64  # messages whose keys are evaluated together
ORDER_SEQUENCE = ORDER[0].header
MARKER = 0  # the sequence of a marker: messages begin at 1
REFRESH_INTERVAL = 30.0
MAX_UNACKED_TIME = 600.0  # seconds; after 30 minutes the broker takes back an unacknowledged message, and it cuts its log only behind the oldest message


class WaitingQueue:
    """The waiting queue for the life of one channel, which has `PREFETCH`. `most`: messages that wait in it.

    `changed` is called after each event that may let a message run.
    """

    def __init__(self, deps: RunnerDeps, channel: Channel, lanes: Lanes[WaitingMessage], most: int, changed: Callable[[], None]) -> None:
        self._evaluator = deps.evaluator
        self._codec = deps.services.codec
        self._memory = deps.services.memory
        self._largest = deps.services.memory.largest
        self._clock = deps.services.clock
        route = deps.route
        self._route = route
        self._queue = order_queue(route.queue)
        self._channel = channel
        self._consumers = -(-(most + SPARE) // PREFETCH)
        self._lanes = lanes
        self._changed = changed
        self._marker = new_id()
        self._loaded = asyncio.Event()
        self._arrived = 0
        self._some = asyncio.Event()
        self._surplus: asyncio.Queue[Delivery] = asyncio.Queue()
        self._arrivals: deque[WaitingMessage] = deque()
        self._more, self._none = asyncio.Event(), asyncio.Event()
        self._too_large = 0

    async def load(self) -> None:
        """Take in all messages. Raises `BrokerError`.

        The worker publishes a marker behind them: its arrival shows that all have arrived. One consumer after the other is filled, so that no message can
        arrive later than the marker.
        """
        await race(self._load(), self.consume())

    async def consume(self) -> None:
        """Take in arriving messages, in order, for as long as this is awaited. A message whose intake is cancelled is there for the next call."""
        while True:
            while self._arrivals:
                await self._consume_next()
                self._changed()
            self._none.set()
            self._more.clear()
            await self._more.wait()

    async def _load(self) -> None:
        marker = DeliveryState(self._marker, self._marker, order=OrderStamp(MARKER, int(self._clock.now())))
        await self._channel.publish(self._codec.copy(Message(b""), self._route.queue, marker), routing_key=self._queue)
        for number in range(1, self._consumers + 1):
            await self._channel.consume(self._queue, self._arrive, keep=up_to(self._largest))
            while not self._loaded.is_set() and self._arrived < number * PREFETCH:
                self._some.clear()
                lost = await race(self._some.wait(), self._channel.wait_closed())
                if isinstance(lost, str):
                    raise ChannelLost(lost)
        if self._too_large:
            raise ChannelLost(f"{self._too_large} messages in {self._queue} are too large to be read, so that nothing can be kept in order with them: {REMEDY}")
        if not self._loaded.is_set():
            logger.error(
                "order.overfull", route=self._route.name, queue=self._queue, reason="it holds more messages than its limit; ordering is no longer guaranteed"
            )
        while self._arrivals:
            self._none.clear()
            lost = await race(self._none.wait(), self._channel.wait_closed())
            if isinstance(lost, str):
                raise ChannelLost(lost)

    async def ack_surplus(self) -> None:
        """Acknowledge surplus deliveries, for as long as this is awaited."""
        while True:
            await self._ack_one(await self._surplus.get())

    async def ack_all_surplus(self) -> None:
        """Acknowledge all surplus deliveries so far: a surplus copy must not outlive the copy that counts."""
        while not self._surplus.empty():
            await self._ack_one(self._surplus.get_nowait())

    async def _ack_one(self, delivery: Delivery) -> None:
        if waiting_message(delivery, self._route.queue, self._codec) is None:
            reason = f"no worker put it on {self._queue}: it goes through {self._route.queue} as all others do"
            try:
                await self._channel.publish(delivery.message, routing_key=self._route.queue)
            except Unpublishable as error:
                logger.error("order.foreign", route=self._route.name, reason=f"no worker put it on {self._queue}, and it stays there: {error}")
                return
            logger.warning("order.foreign", route=self._route.name, reason=reason)
        await delivery.ack()

    async def refresh(self) -> None:
        """Publish a copy of each message that waits for long to the end of the waiting queue: the copy takes its place.

        A message that has no room for a new stamp stays where it is.
        """
        while True:
            await self._clock.sleep(REFRESH_INTERVAL)
            for entry in self._lanes.idle_since(self._clock.monotonic() - MAX_UNACKED_TIME):
                if entry.item is not None:
                    with suppress(Unpublishable):
                        copy = self._codec.copy(entry.item.message, self._route.queue, state_at_the_end(entry.item, self._clock.now()))
                        await self._channel.publish(copy, routing_key=self._queue)

    def _arrive(self, delivery: Delivery) -> None:
        self._arrived += 1
        self._some.set()
        if delivery.dropped_body is not None:  # it stays unacknowledged: this queue has no dead-letter target
            self._too_large += ORDER_SEQUENCE in delivery.message.headers  # a worker moved it before the limit was lowered: its key cannot be computed
            reason = f"{too_large(delivery.dropped_body.size, self._largest)}, and stays in {self._queue}: {REMEDY}"
            logger.error("order.unreadable", route=self._route.name, message_id=delivery.message.message_id, reason=reason)
            return
        item = waiting_message(delivery, self._route.queue, self._codec)
        if item is None:
            self._surplus.put_nowait(delivery)
        elif item.stamp.sequence == MARKER:
            if item.message.message_id == self._marker:
                self._loaded.set()
            self._surplus.put_nowait(delivery)
        else:
            self._arrivals.append(item)
            self._more.set()

    async def _consume_next(self) -> None:
        """Take in the next arrivals. Messages that arrive while keys are evaluated come in behind them."""
        some = list(islice(self._arrivals, KEY_BATCH))
        unknown = [item for item in some if self._lanes.get(item.place) is None]
        keys = dict(zip((item.place for item in unknown), await asyncio.gather(*map(self._keys_of, unknown)), strict=True))
        for item in some:
            if self._lanes.get(item.place) is None and item.place not in keys:
                return  # the message ended meanwhile
            self._arrivals.popleft()
            self._arrange(item, keys.get(item.place))

    async def _keys_of(self, item: WaitingMessage) -> MessageKeys:
        async with self._memory.reading(item.message):
            return await keys_of(self._route, item, item.state, self._evaluator, self._clock, self._largest)

    def _arrange(self, item: WaitingMessage, keys: MessageKeys | None) -> None:
        entry = self._lanes.get(item.place)
        if entry is None:
            entry = self._lanes.expect(item.place, keys or MessageKeys(), memory_of(item.message))
        progress, exclusive = (item.state.attempts, item.state.tries), item.stamp.starts >= SUSPECT
        surplus = self._lanes.arrive(entry, item, progress=progress, due=item.stamp.due, exclusive=exclusive, now=self._clock.monotonic())
        if surplus is not None:
            self._surplus.put_nowait(surplus.delivery)
