"""The stream of the stages of records and messages: the worker writes it in batches, best effort, and `halo-worker trace` reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import structlog

from worker.core.entropy import new_id
from worker.core.errors import BrokerError
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.core.topology import TRACE
from worker.core.trace import IDS, LONGEST, Note
from worker.metrics import Metrics
from worker.state.stream_follower import open_stream

logger = structlog.get_logger()
MOST = 20_000  # notes in memory while no broker takes them: some megabytes; with more, the oldest are dropped
MAX_BATCH = 500  # notes in one message of the stream
EVERY = 0.5  # seconds in which notes are gathered
LAST = 2.0  # seconds to write the last notes when the worker stops
READ_WITHIN = 60.0  # seconds to read a whole stream
VERSION = 1


class TraceRecorder:
    """Implements `Tracer`. `attached` writes the notes. `codec`: proves that a worker wrote them.

    It keeps a note as text: with objects, each garbage collection walked through the notes of a busy half-second.
    """

    def __init__(self, codec: HeaderCodec, clock: Clock, metrics: Metrics) -> None:
        self._codec = codec
        self._clock = clock
        self._metrics = metrics
        self._notes: deque[bytes] = deque()
        self._some = asyncio.Event()
        self._told = False

    def note(self, note: Note) -> None:
        try:
            self._notes.append(text_of(self._clock.now() if note.at is None else note.at, note))
        except TypeError:  # JSON cannot hold half of a surrogate pair in a detail
            self._metrics.trace_dropped.inc()
        if len(self._notes) > MOST:
            self._notes.popleft()
            self._metrics.trace_dropped.inc()
        self._some.set()

    @asynccontextmanager
    async def attached(self, broker: Broker) -> AsyncIterator[None]:
        """Write notes through this attachment during the block."""
        writing = asyncio.create_task(self._write(broker), name="trace")
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.wait([writing])
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    await self._flush(broker)

    async def _write(self, broker: Broker) -> None:
        while True:
            await self._some.wait()
            await self._clock.sleep(EVERY)
            self._some.clear()
            await self._flush(broker)

    async def _flush(self, broker: Broker) -> None:
        """Write the present notes. Notes that come meanwhile wait for the next flush: otherwise under load each message would need its own publish.

        A batch that the broker does not take is dropped: no caller waits for it.
        """
        left = len(self._notes)
        while left > 0 and self._notes:
            batch = [self._notes.popleft() for _ in range(min(MAX_BATCH, left, len(self._notes)))]
            left -= len(batch)
            try:
                await broker.publish(self._codec.sign(Message(joined(batch)), TRACE), routing_key=TRACE)
                self._told = False
            except BrokerError as error:
                self._metrics.trace_dropped.inc(len(batch))
                if not self._told:
                    logger.warning("trace.not_kept", notes=len(batch), reason=str(error))
                self._told = True
                return


async def write_notes(broker: Broker, codec: HeaderCodec, batch: Sequence[tuple[float, Note]]) -> None:
    """Write notes for a command, which has no recorder: best effort, and only if a worker has made the stream. Each note has its seconds since 1970."""
    with suppress(BrokerError):
        for start in range(0, len(batch), MAX_BATCH):
            if await broker.queue_exists(TRACE):
                await broker.publish(codec.sign(Message(encoded(batch[start : start + MAX_BATCH])), TRACE), routing_key=TRACE)


def encoded(batch: Iterable[tuple[float, Note]]) -> bytes:
    """Notes as one message of the stream, each with its seconds since 1970."""
    return joined(text_of(at, note) for at, note in batch)


def joined(texts: Iterable[bytes]) -> bytes:
    """An array of JSON texts."""
    return b"[" + b",".join(texts) + b"]"


def text_of(at: float, note: Note) -> bytes:
    """A note as a JSON object with short names, without empty members."""
    return orjson.dumps(document(at, note), default=str)


def document(at: float, note: Note) -> dict[str, Any]:
    told: dict[str, Any] = {"v": VERSION, "t": round(at, 6), "e": note.event, "r": note.route}
    if note.message_id:
        told["m"] = written(note.message_id)
    if note.correlation_id:
        told["c"] = written(note.correlation_id)
    if note.space:
        told["s"] = written(note.space)
    if note.records:
        told["i"] = [written(each) for each in note.records[:IDS]]
    return told | {name: value for name, value in note.more if value is not None}


def written(text: str) -> str:
    """The text, cut at `LONGEST` characters. It replaces half of a surrogate pair, which UTF-8 cannot hold."""
    return text[:LONGEST] if text.isascii() else text[:LONGEST].encode(errors="replace").decode()


async def read_notes(broker: Broker, codec: HeaderCodec, most: int | None = None) -> list[bytes]:
    """Every batch of the stream that a worker or an operator wrote, oldest first; empty without a stream. Raises `BrokerError`, `TimeoutError`.

    `most`: bytes of the newest batches to keep; None: all. It publishes a mark and reads up to it: by then it has read all earlier batches.
    """
    if not await broker.queue_exists(TRACE):
        return []
    mark, batches, size, forged = new_id(), deque[bytes](), 0, 0
    async with asyncio.timeout(READ_WITHIN), open_stream(broker, TRACE, "first") as reader:
        await broker.publish(codec.sign(Message(b"[]", message_id=mark), TRACE), routing_key=TRACE)
        while True:
            for delivery in await reader.batch():
                if delivery.message.message_id == mark:
                    if forged:
                        logger.warning(
                            "trace.refused", messages=forged, reason="no worker and no operator wrote them, or the key in halo.keys was lost and made again"
                        )
                    return list(batches)
                if not codec.is_proven(delivery.message, TRACE, delivery.digest):
                    forged += 1
                    continue
                batches.append(delivery.message.body)
                size += len(batches[-1])
                while most is not None and size > most and len(batches) > 1:
                    size -= len(batches.popleft())
