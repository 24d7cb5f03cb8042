"""The intake of an ordered route: takes messages from the route's queue and gives each its place in the waiting queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from worker.core.errors import ChannelLost
from worker.core.message import Delivery
from worker.core.ports import Broker, Channel
from worker.flows.consuming.arrivals import Arrivals, ReservedBody
from worker.flows.consuming.consumer import ACKS_UNDER_WAY
from worker.flows.consuming.dropped_body import BodylessDeliveries
from worker.flows.consuming.memory import FREE, Share, size_of
from worker.flows.consuming.settlement_executor import SettlementExecutor
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage
from worker.flows.ordered.moves import Moves, Sequence
from worker.flows.ordered.read_ahead import ReadAhead
from worker.flows.ordered.recent_copies import RecentCopies
from worker.flows.ordered.returned_messages import ReturnedMessages
from worker.flows.waiting import race

INTAKE_PREFETCH = 64  # messages that are taken ahead; after a crash at most this many may have been moved already
ONE_BY_ONE_COUNT = 100  # messages that the intake then takes one by one: a message that goes back counts as delivered, and that must be rare


class ArrivedDeliveries:
    """The deliveries of one channel. `ending`: done when no more is to be taken; its result is the reason if the channel is lost."""

    def __init__(self, ending: asyncio.Task[Any]) -> None:
        self.deliveries: deque[Delivery] = deque()
        self._ending = ending
        self._some = asyncio.Event()
        ending.add_done_callback(lambda _: self._some.set())

    def put(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._some.set()

    async def next(self) -> Delivery | None:
        """Return the next delivery; None at the end. Raises `BrokerError`."""
        while not self._ending.done():
            if self.deliveries:
                return self.deliveries.popleft()
            self._some.clear()
            await self._some.wait()
        if isinstance(lost := self._ending.result(), str):
            raise ChannelLost(lost)
        return None


class Intake:
    """Takes, publishes and acknowledges on one channel. Pauses while `most` messages wait, or as many bytes as a waiting queue may take.

    `sequence`: the highest number in the waiting queue so far. `ready` is called when a message may start.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        broker: Broker,
        settler: SettlementExecutor,
        lanes: Lanes[WaitingMessage],
        bodyless: BodylessDeliveries,
        sequence: int,
        *,
        most: int,
        ready: Callable[[], None],
    ) -> None:
        self._deps = deps
        self._route = deps.route
        self._memory = deps.services.memory
        self._broker = broker
        self._settler = settler
        self._lanes = lanes
        self._bodyless = bodyless
        self._sequence = Sequence(sequence)
        self._recent = RecentCopies(lanes.last(INTAKE_PREFETCH), INTAKE_PREFETCH)
        self._most = most
        self._ready = ready
        self._has_capacity = asyncio.Event()
        self._one_by_one = 0
        self._returned = ReturnedMessages()
        self._alone: ReservedBody | None = None
        self.changed()

    def changed(self) -> None:
        """Check for room: the lanes became longer or shorter."""
        if len(self._lanes) < self._most and self._lanes.size < self._memory.bytes_per_ordered_route:
            self._has_capacity.set()
        else:
            self._has_capacity.clear()

    async def run(self, closing: asyncio.Event) -> None:
        """Move messages until `closing`. Raises `BrokerError`."""
        try:
            while not closing.is_set():
                await race(self._has_capacity.wait(), closing.wait())
                if not closing.is_set():
                    async with self._broker.channel(prefetch=1 if self._one_by_one else INTAKE_PREFETCH, publishing=True) as channel:
                        await self._move_on_channel(channel, closing)
        finally:
            self._set_alone(None)

    async def _move_on_channel(self, channel: Channel, closing: asyncio.Event) -> None:
        """Move messages through one channel, as long as there is room."""
        ahead, arrivals = ReadAhead(self._memory.largest, self._alone), Arrivals(self._memory)
        moves = Moves(self._deps, self._settler, self._lanes, self._sequence, ahead, channel, growing=self.changed, ready=self._ready)
        ending = asyncio.create_task(race(channel.wait_closed(), moves.wait_failed(), closing.wait()))
        ending.add_done_callback(lambda _: arrivals.end())
        arrived = ArrivedDeliveries(ending)
        try:
            tag = await channel.consume(self._route.queue, arrived.put, keep=ahead.keep)
            left = await self._move_while_capacity(arrived, moves, ahead, arrivals)
            arrivals.end()
            await moves.drain()
            await self._deps.services.clock.sleep(ACKS_UNDER_WAY)  # nothing is acknowledged while consuming is cancelled: see `Consumer`
            await channel.cancel(tag)
            await asyncio.sleep(0)
            while arrived.deliveries:
                delivery = arrived.deliveries.popleft()
                if left or not await self._accept(delivery, moves, ahead, arrivals):
                    left = True
                    self._returned.add(delivery)
            await moves.drain()
        finally:
            ending.cancel()
            await moves.close()
            await asyncio.gather(ending, return_exceptions=True)

    async def _move_while_capacity(self, arrived: ArrivedDeliveries, moves: Moves, ahead: ReadAhead, arrivals: Arrivals) -> bool:
        """Move messages while there is room. Return whether a message that came without its body is left."""
        one_by_one = self._one_by_one > 0
        while self._has_capacity.is_set() and one_by_one == (self._one_by_one > 0):
            delivery = await arrived.next()
            if delivery is None:
                return False
            if not await self._accept(delivery, moves, ahead, arrivals):
                return True
        return False

    async def _accept(self, delivery: Delivery, moves: Moves, ahead: ReadAhead, arrivals: Arrivals) -> bool:
        """Begin to move a delivery. False if it came without its body and is not settled: all messages from here on go back.

        If too many bytes were in flight, the intake takes messages one by one from then on.
        """
        if pause := self._returned.pause_before(delivery):
            await self._deps.services.clock.sleep(pause)
            self._returned.add(delivery)
            ahead.settled(len(delivery.message.body))
            await delivery.give_back()
            return True
        if delivery.dropped_body is None:
            await self._begin(delivery, moves, unbegun=self._returned.take(delivery))
            self._one_by_one = max(0, self._one_by_one - 1)
            return True
        if delivery.dropped_body.size > self._memory.largest:
            await moves.drain()
            if self._bodyless.is_buried_as_copy(delivery):
                share = await race(self._memory.body(delivery.dropped_body.size), arrivals.ending.wait())
                self._set_alone(ReservedBody(delivery.message.message_id, delivery.dropped_body.size, share) if isinstance(share, Share) else None)
                self._returned.add(delivery)
                self._one_by_one = ONE_BY_ONE_COUNT
                return False
            return await self._bodyless.refuse(delivery, delivery.dropped_body, arrivals)
        self._returned.add(delivery)
        self._one_by_one = ONE_BY_ONE_COUNT
        return False

    async def _begin(self, delivery: Delivery, moves: Moves, *, unbegun: bool) -> None:
        """Begin to move a message. A large message moves alone; a message that is too large is buried instead."""
        if self._recent.has_copy_of(delivery):
            await moves.drop(delivery)
            return
        await self._memory.turn_for(delivery.message)
        size = await size_of(delivery.message, self._memory.largest)
        if size > FREE:
            await moves.drain()
        moves.add(delivery, size=size, unbegun=unbegun)
        if size > FREE:
            await moves.drain()
        self._set_alone(None)  # it was this message, or it has not come again although it was in front

    def _set_alone(self, alone: ReservedBody | None) -> None:
        if self._alone is not None:
            self._alone.share.release()
        self._alone = alone
