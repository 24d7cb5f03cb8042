"""The intake of an ordered route: takes messages from the route's queue and gives each its place in the waiting queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from worker.core.errors import ChannelLost
from worker.core.message import Delivery
from worker.core.ports import Broker, Channel
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.consumer import ACKS_UNDER_WAY
from worker.flows.consuming.memory import FREE, size_of
from worker.flows.consuming.settlement_executor import SettlementExecutor
from worker.flows.consuming.unread import UnreadDeliveries
from worker.flows.ordered.ahead import Ahead
from worker.flows.ordered.given_back import GivenBack
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage
from worker.flows.ordered.moves import Moves, Sequence
from worker.flows.ordered.recent import Recent
from worker.flows.waiting import race

IN_HAND = 64  # messages that are taken ahead; after a crash at most this many may have been moved already
STAYS_NARROW = 100  # messages that are then taken one by one: each that goes back counts as delivered, which must not come often


class Intake:
    """Taking, publishing and acknowledging are on one channel. Stops while `most` messages wait, or as many bytes as a waiting queue may take.

    `sequence`: the highest number in the waiting queue so far. `ready` is called when a message may start.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        broker: Broker,
        settler: SettlementExecutor,
        lanes: Lanes[WaitingMessage],
        unread: UnreadDeliveries,
        sequence: int,
        *,
        most: int,
        ready: Callable[[], None],
    ) -> None:
        self._deps = deps
        self._route = deps.route
        self._memory = deps.memory
        self._broker = broker
        self._settler = settler
        self._lanes = lanes
        self._unread = unread
        self._sequence = Sequence(sequence)
        self._recent = Recent(lanes.last(IN_HAND), IN_HAND)
        self._most = most
        self._ready = ready
        self._room = asyncio.Event()
        self._one_by_one = 0
        self._given_back = GivenBack()
        self.changed()

    def changed(self) -> None:
        """The lanes became longer or shorter."""
        if len(self._lanes) < self._most and self._lanes.size < self._memory.room_bytes:
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
        ahead, arrivals = Ahead(self._memory.largest), Arrivals(self._memory)
        moves = Moves(self._deps, self._settler, self._lanes, self._sequence, ahead, channel, growing=self.changed, ready=self._ready)
        try:
            await self._while_room(channel, closing, moves, ahead, arrivals)
        finally:
            await moves.close()

    async def _while_room(self, channel: Channel, closing: asyncio.Event, moves: Moves, ahead: Ahead, arrivals: Arrivals) -> None:
        """As long as there is room. Nothing is acknowledged while consuming is cancelled: see `Consumer`."""
        arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        narrow, left = self._one_by_one > 0, False
        tag = await channel.consume(self._route.queue, arrived.put_nowait, keep=ahead.keep)
        while self._room.is_set() and not closing.is_set() and not left and narrow == (self._one_by_one > 0):
            if arrived.empty():
                delivery = await race(arrived.get(), channel.wait_closed(), moves.wait_failed(), closing.wait())
            else:
                delivery = arrived.get_nowait()
            if isinstance(delivery, str):
                raise ChannelLost(delivery)
            if not isinstance(delivery, bool):
                left = not await self._taken(delivery, moves, ahead, arrivals)
        arrivals.end()
        await moves.drain()
        await self._deps.clock.sleep(ACKS_UNDER_WAY)
        await channel.cancel(tag)
        await asyncio.sleep(0)
        while not arrived.empty():
            delivery = arrived.get_nowait()
            if left or not await self._taken(delivery, moves, ahead, arrivals):
                left = True
                self._given_back.add(delivery)
        await moves.drain()

    async def _taken(self, delivery: Delivery, moves: Moves, ahead: Ahead, arrivals: Arrivals) -> bool:
        """False where it came without its body, since too much was in hand: from here on all goes back, and is taken one by one."""
        if pause := self._given_back.pause_before(delivery):
            await self._deps.clock.sleep(pause)
            self._given_back.add(delivery)
            ahead.settled(len(delivery.message.body))
            await delivery.give_back()
            return True
        if delivery.unread is None:
            await self._begin(delivery, moves, unbegun=self._given_back.take(delivery))
            self._one_by_one = max(0, self._one_by_one - 1)
            return True
        if delivery.unread.size > self._memory.largest:
            await moves.drain()
            await self._unread.refuse(delivery, delivery.unread, arrivals)
            return True
        self._given_back.add(delivery)
        self._one_by_one = STAYS_NARROW
        return False

    async def _begin(self, delivery: Delivery, moves: Moves, *, unbegun: bool) -> None:
        """Large messages are moved alone."""
        if self._recent.has_copy_of(delivery):
            moves.drop(delivery)
            return
        size = size_of(delivery.message, self._memory.largest)
        if size > FREE:
            await moves.drain()
        moves.add(delivery, size=size, unbegun=unbegun)
        if size > FREE:
            await moves.drain()
