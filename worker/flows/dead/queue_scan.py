"""Scans a queue: yields every message once, in order, and returns all messages that are not acked to their places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import OURS, Delivery, Keep
from worker.core.ports import Broker, Channel, Clock
from worker.flows.waiting import race

MAX_PREFETCH = 65_535  # messages that one consumer may hold: the largest prefetch of AMQP
READ_AHEAD = 500  # messages besides the held ones, so that a caller that settles messages one by one does not wait for the next
ACK_SETTLE_TIME = 0.1  # seconds within which the messages arrive for which acks made room
IDLE_POLL = 0.5  # seconds without a message before the scan asks for the depth
REQUEUE_POLL = 0.02  # seconds between two questions for the depth
REQUEUE_TIMEOUT = 2.0  # seconds within which a queue gets back the messages of a closed channel
TURN_AFTER = 256 * 1024  # bytes read before the event loop runs other tasks
EACH = 8 * 1024  # bytes that the headers of a message count for
STALL_TIMEOUT = 30.0  # seconds within which a broker must deliver a ready message


@dataclass(slots=True)
class ScanChannel:
    """One channel, which consumes until it holds as many messages as its prefetch allows."""

    channel: Channel
    closing: AbstractAsyncContextManager[Channel]
    tag: str = ""
    arrived: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)
    held: int = 0
    acked: bool = False

    async def next(self) -> Delivery | None:
        """The next message, or None after `IDLE_POLL` without one. Raises `ChannelLost`."""
        if not self.arrived.empty():
            return self.arrived.get_nowait()
        came = await race(self.arrived.get(), self.channel.wait_closed(), timeout=IDLE_POLL)
        if isinstance(came, str):
            raise ChannelLost(f"the channel closed during the scan, and every unacked message goes back to its queue: {came}")
        found: Delivery | None = came
        return found


class QueueScan:
    """Created by `open_scan`. `depth`: messages that were ready at its start; it yields at most these, even if more arrive meanwhile.

    A quorum queue takes back the messages of one consumer in the old order, however that consumer ended, but not messages that `basic.get` took. The scan
    therefore consumes. It uses one channel if that can hold enough; otherwise it closes its channels in their order, after the last consumer is cancelled.
    """

    def __init__(self, broker: Broker, clock: Clock, queue: str, depth: int, leaving: int, keep: Keep) -> None:
        self._broker = broker
        self._clock = clock
        self._queue = queue
        self._capacity = min(MAX_PREFETCH, max(0, depth - leaving) + READ_AHEAD)
        self._contended = False
        self._keep = keep
        self._channels: list[ScanChannel] = []
        self.depth = depth
        self.seen = 0

    async def deliveries(self) -> AsyncGenerator[Delivery, None]:
        """In order. Ends early if other consumers take from the queue meanwhile. Raises `BrokerError`."""
        waited, since = 0.0, 0
        while self.seen < self.depth:
            if since >= TURN_AFTER:  # a message that has arrived is taken without a wait, and its reader hashes it
                since = 0
                await asyncio.sleep(0)
            scanned = self._channels[-1] if self._channels and self._channels[-1].held < self._capacity else await self._open()
            delivery = await scanned.next()
            if delivery is None:
                waited += IDLE_POLL
                if not await self._broker.queue_depth(self._queue):
                    return
                if waited > STALL_TIMEOUT:
                    raise ChannelLost(f"the broker does not deliver the ready messages of queue {self._queue!r}: check the queue, then run the command again")
                continue
            waited = 0.0
            self.seen += 1
            scanned.held += 1
            since += EACH + len(delivery.message.body)
            yield delivery

    async def ack(self, delivery: Delivery) -> None:
        """Ack the message that was yielded last. Raises `ChannelLost`."""
        await delivery.ack()
        self._channels[-1].held -= 1
        self._channels[-1].acked = True

    async def _open(self) -> ScanChannel:
        await self._stop_consuming()
        closing = self._broker.channel(prefetch=self._capacity)
        scanned = ScanChannel(await closing.__aenter__(), closing)
        self._channels.append(scanned)
        scanned.tag = await scanned.channel.consume(self._queue, scanned.arrived.put_nowait, keep=self._keep)
        return scanned

    async def _stop_consuming(self) -> None:
        """Cancel the last consumer, so that it does not receive the messages that the first channel gives back. Wait first until acks have taken effect.

        An ack makes room for the next message. A message that a quorum queue picks for a consumer under `basic.cancel` goes back at once, out of order.
        """
        if not self._channels or not (tag := self._channels[-1].tag):
            return
        self._channels[-1].tag = ""
        if self._channels[-1].acked:
            await self._clock.sleep(ACK_SETTLE_TIME)
        await self._channels[-1].channel.cancel(tag)

    async def put_back(self) -> None:
        """Close the channels in order, each after the queue has taken back the messages of the channel before.

        The broker itself ends closed channels in no fixed order.
        """
        async with AsyncExitStack() as stack:
            for scanned in reversed(self._channels):
                stack.push_async_callback(self._close, scanned)
            with suppress(BrokerError):  # a lost channel has given back all that it held
                if len(self._channels) > 1:
                    await self._stop_consuming()

    async def _close(self, scanned: ScanChannel) -> None:
        before = await self._depth() if scanned.held and not self._contended else None
        await scanned.closing.__aexit__(None, None, None)
        if before is None:
            return
        until = self._clock.monotonic() + REQUEUE_TIMEOUT
        while (now := await self._depth()) is not None and now < before + scanned.held:
            if self._clock.monotonic() > until:  # other consumers take from the queue
                self._contended = True
                return
            await self._clock.sleep(REQUEUE_POLL)

    async def _depth(self) -> int | None:
        try:
            return await self._broker.queue_depth(self._queue)
        except BrokerError:
            return None


@asynccontextmanager
async def open_scan(broker: Broker, clock: Clock, queue: str, *, leaving: int = 0, keep: Keep = OURS, most: int | None = None) -> AsyncIterator[QueueScan]:
    """Scan the messages that are in the queue now; a missing queue counts as empty. Raises `BrokerError`.

    `leaving`: how many messages will be acked. `keep`: which bodies are read. `most`: messages from the head of the queue after which the scan ends; None: all.
    """
    depth = await broker.queue_depth(queue) or 0
    scan = QueueScan(broker, clock, queue, depth if most is None else min(depth, most), leaving, keep)
    try:
        yield scan
    finally:
        await scan.put_back()
