"""Limits the memory of messages, for all routes together: bodies in flight, and the values that the work on them makes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from worker.core.bodies import compression_of, is_small, measure
from worker.core.compressed_content import compressed_content_memory
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, Undecodable
from worker.core.json_codec import MAX_BYTES, estimate_body_memory, estimate_memory
from worker.core.ledger import Ledger, arrival_key
from worker.core.message import Delivery, Message, identity_of
from worker.core.outcome import DeadClass, NotSent, Outcome, Refused
from worker.flows.waiting import race
from worker.metrics import Metrics
from worker.threads import within
from worker.waits import waiting_for

MEBIBYTE = 1024 * 1024
IN_FLIGHT = 64 * MEBIBYTE
SMALL = MEBIBYTE  # bytes of a body that does not queue behind larger ones
FREE = 32 * 1024  # bytes of a body that waits for no memory: the concurrency of its route bounds such bodies well enough
FREE_COMPRESSED = 1024  # bytes of a compressed body that waits for no turn: it decompresses to at most a thousand times as many, in some 3 ms
RECEIPT_LAG = 1.0  # seconds within which the receipt of another replica arrives
STOPPING = "the worker or its route stops: it waited for memory and was not begun"
TURNS_BETWEEN = 4  # of the event loop: an answer of /livez takes three


@dataclass(frozen=True, slots=True)
class Receipts:
    """The worker claims a receipt before it can send a request for the message. So a replica that knows the receipt would also know of an attempt."""

    ledger: Ledger

    async def leave(self, delivery: Delivery) -> None:
        """Claim the receipt before the message waits.

        Without a broker there is no receipt. If the message comes again, it may then be parked although it was never sent.
        """
        with suppress(BrokerError):
            await self.ledger.claim(arrival_key(*identity_of(delivery)), "any replica")

    async def read(self, delivery: Delivery, state: DeliveryState) -> DeliveryState:
        """Return the state. For a redelivered message it also says whether the ledger still remembers claims about the message."""
        if not delivery.redelivered or state.remembered is not None or not may_wait(delivery):
            return state
        with suppress(BrokerError):
            if await self.ledger.knows(arrival_key(*identity_of(delivery)), within=RECEIPT_LAG):
                return replace(state, remembered=True)
        return state


@dataclass(eq=False, slots=True)
class Share:
    """A part of a pool, taken until it is released; releasing it twice is harmless."""

    pool: Pool | None = None
    weight: int = 0

    def release(self) -> None:
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.give(self.weight)


class Pool:
    """Weights up to `capacity`, first come first served. A weight above `capacity` waits until the pool is empty and then takes it alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.used = 0

    @property
    def waiting(self) -> int:
        return sum(not turn.cancelled() for _, turn in self._waiting)

    def take_now(self, weight: int) -> Share | None:
        """None when it does not fit, or others have waited longer."""
        if self.waiting or not self._fits(weight):
            return None
        self.used += weight
        return Share(self, weight)

    async def take(self, weight: int) -> Share:
        """Wait for a share, in turn. A cancelled wait takes nothing."""
        if (share := self.take_now(weight)) is not None:
            return share
        turn = (weight, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        try:
            await turn[1]
        except asyncio.CancelledError:
            self.give(0 if turn[1].cancelled() else weight)  # its turn may have come at this very moment
            raise
        return Share(self, weight)

    def give(self, weight: int) -> None:
        """Take back a share."""
        self.used -= weight
        self._next()

    def _fits(self, weight: int) -> bool:
        return not self.used or self.used + weight <= self._capacity

    def _next(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._fits(self._waiting[0][0])):
            weight, turn = self._waiting.popleft()
            if not turn.cancelled():
                self.used += weight
                turn.set_result(None)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pools, so that a small weight does not wait behind large ones. `bound`: the largest weight that counts as small."""

    small: Pool
    large: Pool
    bound: int

    def of(self, weight: int) -> Pool:
        return self.small if weight <= self.bound else self.large

    @property
    def used(self) -> int:
        return self.small.used + self.large.used

    @property
    def waiting(self) -> int:
        return self.small.waiting + self.large.waiting


class Memory:
    """The memory of all messages.

    `largest`: bytes of the largest body that is read. `in_flight`: bytes of bodies that all consumers may hold together; the waiting queues of all
    `ordered_routes` together may hold as many again. `receipts`: for messages that wait.

    A body counts from before it arrives until its message is settled. The work on bodies counts besides, up to one and a half times `in_flight`. A holder of a
    share of the work waits for nothing else here, so that no wait is for ever. Bodies of at most `FREE` bytes do not count.
    """

    def __init__(self, receipts: Receipts, metrics: Metrics, *, largest: int = MAX_BYTES, in_flight: int = IN_FLIGHT, ordered_routes: int = 0) -> None:
        self.receipts = receipts
        self.largest = largest
        self.bytes_per_ordered_route = in_flight // max(1, ordered_routes)
        quarter, half = in_flight // 4, in_flight // 2
        self._bodies = Pair(Pool(quarter), Pool(in_flight - quarter), SMALL)
        self._work = Pair(Pool(half), Pool(in_flight), half // 4)
        self._one_begins = asyncio.Lock()
        for kind, pair in (("bodies", self._bodies), ("work", self._work)):
            metrics.memory_used.labels(kind).set_function(partial(getattr, pair, "used"))
            metrics.memory_waiting.labels(kind).set_function(partial(getattr, pair, "waiting"))

    def body_now(self, size: int) -> Share | None:
        """Room for a body that is about to arrive; None when there is none."""
        return Share() if size <= FREE else self._bodies.of(size).take_now(size)

    async def body(self, size: int) -> Share:
        """Room for a body, in turn."""
        return await take_share(self._bodies.of(size), size, "room for its body")

    def work_now(self, weight: int) -> Share | None:
        """Room for the work on a body, by its `estimate_body_memory`; None when there is none."""
        return self._work.of(weight).take_now(weight)

    async def work(self, weight: int) -> Share:
        """Room for the work on a body, in turn."""
        return await take_share(self._work.of(weight), weight, "memory to be worked on")

    async def turn(self) -> None:
        """Wait until a large body may begin.

        Large bodies begin one after the other, with turns of the event loop between. Each can hold the loop for 30 ms; several in a row would delay everything.
        """
        async with self._one_begins:
            for _ in range(TURNS_BETWEEN):
                await asyncio.sleep(0)

    async def turn_for(self, message: Message) -> None:
        """Wait for a turn if the body may hold the event loop while it is decompressed, even if only to count its values."""
        if len(message.body) > (FREE_COMPRESSED if message.content_encoding else FREE):
            await self.turn()

    @asynccontextmanager
    async def reading(self, message: Message) -> AsyncIterator[None]:
        """Enclose the reading of a body: in turn, and with the memory that its values take."""
        await self.turn_for(message)
        try:
            size, needed = await needs(message, self.largest)
        except Undecodable:  # the reader refuses it, before it takes memory
            size = needed = 0
        share = await self.work(needed) if size > FREE else Share()
        try:
            yield
        finally:
            share.release()

    @asynccontextmanager
    async def working(self, size: int, per_byte: int) -> AsyncIterator[None]:
        """Enclose work that takes `per_byte` bytes of memory for each byte of a body."""
        share = await self.work(size * per_byte) if size > FREE else Share()
        try:
            yield
        finally:
            share.release()


async def take_share(pool: Pool, weight: int, what: str) -> Share:
    """Wait for a share, in turn. If the wait takes long, the log says what the message waits for."""
    with waiting_for("memory", what, bytes=weight, before_it=pool.waiting):
        return await pool.take(weight)


async def with_memory(memory: Memory, delivery: Delivery, run: Callable[[], Awaitable[Outcome]], stop: asyncio.Event | None = None) -> Outcome:
    """Run the handler once there is memory, and return its outcome.

    A delivery that waits for memory is not begun. If the worker dies, its receipt shows that; if the worker stops, the delivery goes back to its queue.
    """
    if delivery.message.content_encoding:
        await memory.turn_for(delivery.message)
    try:
        size, needed = await needs(delivery.message, memory.largest)
    except Undecodable as error:
        return Refused(DeadClass.DECODE, str(error))
    needed += (inside := compressed_content_memory(delivery))
    if size <= FREE and not inside:
        return await run()
    share = memory.work_now(needed)
    if share is None:
        await memory.receipts.leave(delivery)
        share = await (memory.work(needed) if stop is None else race(memory.work(needed), stop.wait()))
    if not isinstance(share, Share):
        return NotSent(STOPPING, counted=False)
    try:
        await memory.turn()
        return await run()
    finally:
        share.release()


def may_wait(delivery: Delivery) -> bool:
    """Whether a message can have waited for memory: its body is large, or may be once it is decompressed."""
    return len(delivery.message.body) > FREE or bool(delivery.message.content_encoding) or compressed_content_memory(delivery) > 0


def measured(message: Message, limit: int) -> tuple[int, int]:
    """As `needs`, in the event loop. Raises `Undecodable`; `Oversized` for a compressed body of more than `limit` bytes."""
    if message.content_encoding and compression_of(message.content_encoding):
        size, values = measure(message.body, message.content_encoding, limit)
        return size, estimate_memory(size, values)
    size = len(message.body)
    return size, estimate_body_memory(message.body) if size > FREE else 0


async def needs(message: Message, largest: int) -> tuple[int, int]:
    """Return the bytes of the decompressed body, and the bytes of memory that the work on it takes.

    Raises `Undecodable` for a compressed body that cannot be decompressed within `largest` bytes.
    """
    return measured(message, largest) if is_small(message) else await within(largest, message.body, partial(measured, message))


async def size_of(message: Message, largest: int) -> int:
    """Return the bytes of the decompressed body. If it cannot be decompressed, return the bytes of the body as it came."""
    try:
        return (await needs(message, largest))[0]
    except Undecodable:
        return len(message.body)
