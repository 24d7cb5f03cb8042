"""The stream in which all replicas tell of their writes to Halo, so that subscribers know them when they meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from uuid import uuid4

import structlog

from worker.core.errors import BrokerError, BrokerUnreachable
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.topology import ECHOES, echoes_topology
from worker.metrics import Metrics
from worker.state.stream_follower import MARGIN, Batch, StreamFollower
from worker.state.write_index import KEPT, NotAWriteNotice, WriteFootprint, WriteIndex, WriteNotice

logger = structlog.get_logger()


class WriteNotices:
    """Tells of writes, and knows those of others; outlives broker attachments, and resumes reading the stream where it stopped."""

    def __init__(self, clock: Clock, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self._metrics = Metrics() if metrics is None else metrics
        self._broker: Broker | None = None
        self._index = WriteIndex()
        self._follower = StreamFollower(ECHOES, echoes_topology(), clock, kept=KEPT)
        self._changed = asyncio.Event()
        self._marks: set[str] = set()

    @asynccontextmanager
    async def attached(self, broker: Broker) -> AsyncIterator[None]:
        """While this attachment lasts."""
        self._broker = broker
        following = asyncio.create_task(self._follower.follow(broker, self._take_in), name="echoes")
        try:
            yield
        finally:
            self._broker = None
            following.cancel()
            await asyncio.wait([following])

    async def begin(self, write: str, client: str, resource: str, keys: Iterable[str], creates: int) -> None:
        """Tell that a write is about to be sent, which may change these records or create some. `write`: a unique name for it. Raises `BrokerError`."""
        await self._tell(WriteNotice(write, client, resource, int(self._clock.now()), begun=frozenset(keys), creates=creates))

    async def end(self, write: str, client: str, resource: str, footprints: Iterable[WriteFootprint]) -> None:
        """Tell what it left; nothing where that is not known. Raises `BrokerError`."""
        await self._tell(WriteNotice(write, client, resource, int(self._clock.now()), ended=True, footprints=tuple(footprints)))

    async def caught_up(self, within: float) -> bool:
        """Whether all that anybody told before this call is known here, or is within these seconds."""
        mark = WriteNotice(uuid4().hex, "", "", int(self._clock.now()), ended=True)
        self._marks.add(mark.id)
        try:
            async with asyncio.timeout(within):
                await self._tell(mark)
                await self._until(lambda: mark.id not in self._marks)
        except (BrokerError, TimeoutError) as error:
            logger.warning("echoes.unknown", reason=str(error) or "their stream was not read in time")
            return False
        finally:
            self._marks.discard(mark.id)
        return True

    async def wait_until_ended(self, client: str, resource: str, keys: Iterable[str], *, creates: bool, within: float) -> None:
        """Wait until no write is under way that may have left these records (or one that is new), at most these seconds."""
        wanted = set(keys)
        try:
            async with asyncio.timeout(within):
                await self._until(lambda: not self._index.awaits(client, resource, wanted, self._clock.now(), creates=creates))
        except TimeoutError:
            return

    def footprints(self, client: str, resource: str, key: str) -> list[WriteFootprint]:
        """What writes left of a record, oldest first."""
        return self._index.footprints(client, resource, key)

    async def _tell(self, notice: WriteNotice) -> None:
        if self._broker is None:
            raise BrokerUnreachable("there is no broker at the moment")
        await self._broker.publish(Message(notice.encode(), message_id=notice.id), routing_key=ECHOES)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _take_in(self, batch: Batch) -> None:
        if batch.restarted:
            self._index.clear()
        for delivery in batch.deliveries:
            self._note(delivery)
        self._changed.set()
        self._changed = asyncio.Event()

    def _note(self, delivery: Delivery) -> None:
        try:
            notice = WriteNotice.decode(delivery.message.body)
        except NotAWriteNotice as error:
            self._metrics.refused_state.labels("notice").inc()
            logger.warning("echo.unreadable", offset=delivery.offset, reason=str(error))
            return
        if notice.at > self._clock.now() + MARGIN.total_seconds():
            self._metrics.refused_state.labels("notice").inc()
            logger.error("echo.refused", offset=delivery.offset, reason="it is dated ahead: no worker wrote it, or a clock is wrong by more than an hour")
            return
        self._marks.discard(notice.id)
        self._index.add(notice)
