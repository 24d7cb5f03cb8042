"""Walking along a queue: every message once, in order, and all that is not acked goes back where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import OURS, Delivery, Keep
from worker.core.ports import Broker, Channel, Clock
from worker.flows.waiting import first_of

MAX_PREFETCH = 65_535  # messages that a consumer may hold: AMQP's largest prefetch
READ_AHEAD = 500  # messages beyond those that will be held: whoever settles them one by one should not wait for the next
ACK_SETTLE_TIME = 0.1  # seconds in which what acks made room for arrives
IDLE_POLL = 0.5  # seconds without a message after which we ask whether there is one
REQUEUE_TIMEOUT = 2.0  # seconds in which a queue has back what a closed channel held
STALL_TIMEOUT = 30.0  # seconds in which a broker that has one must hand it out


@dataclass(slots=True)
class ScanChannel:
    """One channel that consumes until it holds as much as it may."""

    channel: Channel
    closing: AbstractAsyncContextManager[Channel]
    tag: str = ""
    arrived: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)
    held: int = 0
    acked: bool = False

    async def next(self) -> Delivery | None:
        """None when none came for a while. Raises `ChannelLost`."""
        if not self.arrived.empty():
            return self.arrived.get_nowait()
        came = await first_of(self.arrived.get(), self.channel.wait_closed(), timeout=IDLE_POLL)
        if isinstance(came, str):
            raise ChannelLost(f"the scan along the queue was cut off, and all goes back: {came}")
        found: Delivery | None = came
        return found


class QueueScan:
    """Made by `open_scan`. `depth`: messages that were ready at its start; it meets no more than these, whatever is added meanwhile.

    A quorum queue takes back in the old order what one consumer held, however it ended, but not what was taken with `basic.get`. So it is consumed, with one channel
    where that can hold enough; several are closed in their order once nothing consumes any more.
    """

    def __init__(self, broker: Broker, clock: Clock, queue: str, depth: int, leaving: int, keep: Keep) -> None:
        self._broker = broker
        self._clock = clock
        self._queue = queue
        self._capacity = min(MAX_PREFETCH, max(0, depth - leaving) + READ_AHEAD)
        self._disturbed = False
        self._keep = keep
        self._windows: list[ScanChannel] = []
        self.depth = depth
        self.met = 0

    async def deliveries(self) -> AsyncGenerator[Delivery, None]:
        """In order. Ends early when others take from the queue meanwhile. Raises `BrokerError`."""
        waited = 0.0
        while self.met < self.depth:
            window = self._windows[-1] if self._windows and self._windows[-1].held < self._capacity else await self._open()
            delivery = await window.next()
            if delivery is None:
                waited += IDLE_POLL
                if not await self._broker.queue_depth(self._queue):
                    return
                if waited > STALL_TIMEOUT:
                    raise ChannelLost(f"the broker does not hand out what is in queue {self._queue!r}")
                continue
            waited = 0.0
            self.met += 1
            window.held += 1
            yield delivery

    async def ack(self, delivery: Delivery) -> None:
        """Take the message that was met last off the queue. Raises `ChannelLost`."""
        await delivery.ack()
        self._windows[-1].held -= 1
        self._windows[-1].acked = True

    async def _open(self) -> ScanChannel:
        await self._stop_consuming()
        closing = self._broker.channel(prefetch=self._capacity)
        window = ScanChannel(await closing.__aenter__(), closing)
        self._windows.append(window)
        window.tag = await window.channel.consume(self._queue, window.arrived.put_nowait, keep=self._keep)
        return window

    async def _stop_consuming(self) -> None:
        """So that the last channel does not get what the first one gives back. Not before acks have been dealt with.

        An ack makes room for the next message, and what a quorum queue picks for a consumer that is being cancelled goes back at once, before its turn.
        """
        if not self._windows or not (tag := self._windows[-1].tag):
            return
        self._windows[-1].tag = ""
        if self._windows[-1].acked:
            await self._clock.sleep(ACK_SETTLE_TIME)
        await self._windows[-1].channel.cancel(tag)

    async def put_back(self) -> None:
        """Close the channels, first one first; the next one when the queue has back what the last one held: channels die in no certain order."""
        async with AsyncExitStack() as stack:
            for window in reversed(self._windows):
                stack.push_async_callback(self._close, window)
            with suppress(BrokerError):  # with a channel that is gone all that it held is back already
                if len(self._windows) > 1:
                    await self._stop_consuming()

    async def _close(self, window: ScanChannel) -> None:
        before = await self._depth() if window.held and not self._disturbed else None
        await window.closing.__aexit__(None, None, None)
        if before is None:
            return
        until = self._clock.monotonic() + REQUEUE_TIMEOUT
        while (now := await self._depth()) is not None and now < before + window.held:
            if self._clock.monotonic() > until:  # others take from the queue
                self._disturbed = True
                return

    async def _depth(self) -> int | None:
        try:
            return await self._broker.queue_depth(self._queue)
        except BrokerError:
            return None


@asynccontextmanager
async def open_scan(broker: Broker, clock: Clock, queue: str, *, leaving: int = 0, keep: Keep = OURS) -> AsyncIterator[QueueScan]:
    """A scan along what is in the queue now; a queue that is not there is empty. `leaving`: how many are going to be acked; `keep`: which bodies are read.

    Raises `BrokerError`.
    """
    scan = QueueScan(broker, clock, queue, await broker.queue_depth(queue) or 0, leaving, keep)
    try:
        yield scan
    finally:
        await scan.put_back()
