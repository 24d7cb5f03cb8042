"""Read a RabbitMQ stream in order: once up to its end (`open_stream`), or for as long as a broker attachment lives (`StreamFollower`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import NamedTuple

import structlog

from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel, Clock
from worker.core.repeats import Repeats
from worker.core.topology import Topology

logger = structlog.get_logger()
PREFETCH = 500
MARGIN = timedelta(hours=1)  # clocks differ, and RabbitMQ starts reading at the first message of a chunk
ACK_AFTER = 10.0  # seconds of silence: RabbitMQ closes a channel that acknowledges nothing for half an hour
SILENCE = 10.0  # seconds within which RabbitMQ delivers a message that the stream holds
FROM_FIRST = 20_000  # messages; a first read starts at the beginning of a stream up to this size: some seconds
RETRY = 1.0  # seconds until the next read of the stream after its channel was lost

Start = int | str | datetime
"""An offset, a time, or RabbitMQ's words "first", "last" and "next"."""


class StreamReader:
    """A consumer of one stream; `open_stream` makes it."""

    def __init__(self, stream: str, channel: Channel, closed: asyncio.Future[str], prefetch: int) -> None:
        self._stream = stream
        self._channel = channel
        self._closed = closed
        self._together = max(1, prefetch // 2)
        self._arrived: list[Delivery] = []
        self._unacked = 0
        self._wake = asyncio.Event()
        closed.add_done_callback(lambda _: self._wake.set())

    def on_delivery(self, delivery: Delivery) -> None:
        self._arrived.append(delivery)
        self._wake.set()

    async def batch(self, within: float | None = None) -> list[Delivery]:
        """Return the deliveries since the last call in stream order, at least one.

        Acknowledge those of earlier calls once they are half of the prefetch, or nothing has arrived for a while: an acknowledgement only makes room.
        Return an empty list when no delivery arrives in `within` seconds. Raises `ChannelLost`, which proves nothing about the content of the stream.
        """
        if self._unacked >= self._together:
            await self._ack()
        while not await self._woken(ACK_AFTER if within is None else within):
            await self._ack()
            if within is not None:
                return []
        if not self._closed.done():
            self._wake.clear()
        if not self._arrived:
            raise ChannelLost(f"the stream {self._stream} cannot be read: {self._closed.result()}")
        batch, self._arrived = self._arrived, []
        self._unacked += len(batch)
        return batch

    async def _woken(self, within: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._wake.wait()
        return self._wake.is_set()

    async def _ack(self) -> None:
        """Acknowledge the deliveries. Ignore a lost channel while deliveries are left to return: this replica can then recognise its own claim among them."""
        if not self._unacked:
            return
        self._unacked = 0
        try:
            await self._channel.ack_all()
        except ChannelLost:
            if not self._arrived:
                raise


@asynccontextmanager
async def open_stream(broker: Broker, stream: str, start: Start, *, prefetch: int = PREFETCH) -> AsyncIterator[StreamReader]:
    """Consume `stream` from `start` on, on a separate channel. Raises `BrokerError`."""
    async with broker.channel(prefetch=prefetch) as channel:
        closed = asyncio.ensure_future(channel.wait_closed())
        reader = StreamReader(stream, channel, closed, prefetch)
        try:
            await channel.consume(stream, reader.on_delivery, arguments={"x-stream-offset": start})
            yield reader
        finally:
            closed.cancel()


class StreamPosition(NamedTuple):
    """One message of a stream. The id shows whether the stream is the same: a stream that was deleted and declared again has other ids at its offsets."""

    offset: int
    message_id: str

    @classmethod
    def of(cls, delivery: Delivery) -> StreamPosition:
        return cls(delivery.offset or 0, delivery.message.message_id)


@dataclass(frozen=True, slots=True)
class Batch:
    """A report of a follower to its handler.

    - `restarted`: the follower reads the stream from its start. Discard all earlier deliveries.
    - `interrupted`: the follower cannot read the stream at present, for this reason. It retries.
    - Otherwise: the next deliveries in order. A batch without deliveries means that the follower has resumed at its position.
    """

    deliveries: Sequence[Delivery] = ()
    restarted: bool = False
    interrupted: str = ""


Handle = Callable[[Batch], None]


class StreamFollower:
    """Follows one stream over any number of broker attachments. `kept`: seconds that a first read goes back.

    `position` is the last message that the handler has taken. The next read resumes there if the stream still holds that message; otherwise it restarts.
    """

    def __init__(self, stream: str, topology: Topology, clock: Clock, *, kept: float, position: StreamPosition | None = None) -> None:
        self._stream = stream
        self._topology = topology
        self._clock = clock
        self._kept = timedelta(seconds=kept)
        self._repeats = Repeats()
        self._awaited: dict[str, float] = {}
        self._silences = 0
        self.position = position

    async def publish(self, broker: Broker, message: Message) -> None:
        """Append to the stream. Raises `BrokerError`.

        If a stored message does not come back within some seconds, the follower interrupts its read. The second time in a row it gives up the attachment,
        since another node may deliver the message.
        Seen on three nodes of 3.10.8 that were killed and cut off: consumers got no more messages, for a minute or for ever, without any error.
        """
        self._awaited[message.message_id] = inf
        try:
            await broker.publish(message, routing_key=self._stream)
        finally:
            came = self._awaited.pop(message.message_id, None) is None
        if not came:
            self._awaited[message.message_id] = self._clock.monotonic()

    async def follow(self, broker: Broker, handle: Handle) -> None:
        """Pass every batch to `handle` until the attachment is lost. It opens a lost channel again."""
        while not broker.lost:
            try:
                await broker.declare(self._topology)
                await self._read(broker, handle)
            except BrokerError as error:
                if self._repeats.due(str(error), self._clock.monotonic()):
                    logger.warning("stream.interrupted", stream=self._stream, reason=str(error), retry_in_s=RETRY)
                self._awaited.clear()
                handle(Batch(interrupted=str(error)))
            await self._clock.sleep(RETRY)

    async def _read(self, broker: Broker, handle: Handle) -> None:
        """Read until the channel is lost, then raise `BrokerError`."""
        async with open_stream(broker, self._stream, await self._start(broker)) as reader:
            if self.position is None:
                handle(Batch(restarted=True))
            else:
                first = await reader.batch(SILENCE)
                if not first or StreamPosition.of(first[0]) != self.position:
                    self.position = None
                    raise ChannelLost(f"the stream {self._stream} was deleted, purged or cut by its size limit; it is read again from its start")
                self._handle_batch(first[1:], handle)
            while True:
                if batch := await reader.batch(SILENCE):
                    self._handle_batch(batch, handle)
                else:
                    self._require_ours(broker)

    def _require_ours(self, broker: Broker) -> None:
        """Raise `ChannelLost` when the stream is silent although it has held a message of ours for some seconds."""
        longest = self._clock.monotonic() - min(self._awaited.values(), default=inf)
        if longest < SILENCE:
            return
        self._silences += 1
        why = f"the stream {self._stream} does not deliver what was stored in it {longest:.0f} s ago"
        if self._silences > 1:
            broker.lose(why)
        raise ChannelLost(f"{why}; it is read again")

    async def _start(self, broker: Broker) -> Start:
        """Where to start reading. RabbitMQ treats a time later than every message as "next", and can then skip a message published at that moment.

        Seen on 3.10.8: it skipped 3 of 1,600 messages published to an empty stream while a consumer attached by time; with "first", none.
        """
        if self.position is not None:
            return self.position.offset
        if (await broker.queue_depth(self._stream) or 0) <= FROM_FIRST:
            return "first"
        return datetime.fromtimestamp(self._clock.now(), UTC) - self._kept - MARGIN

    def _handle_batch(self, deliveries: list[Delivery], handle: Handle) -> None:
        for delivery in deliveries:
            self._awaited.pop(delivery.message.message_id, None)
        handle(Batch(deliveries))
        if deliveries:
            self._silences = 0
            self.position = StreamPosition.of(deliveries[-1])
