"""The stream of write notices: every replica announces its writes to Halo, and subscribers recognise them in a poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

from worker.core.entropy import new_id
from worker.core.errors import BrokerError, BrokerUnreachable
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.topology import ECHOES, echoes_topology
from worker.metrics import Metrics
from worker.state.stream_follower import MARGIN, Batch, StreamFollower
from worker.state.write_index import WRITE_LIFETIME, NotAWriteNotice, WriteFootprint, WriteIndex, WriteNotice

logger = structlog.get_logger()


class WriteNotices:
    """Publishes and reads write notices through any number of broker attachments."""

    def __init__(self, clock: Clock, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self._metrics = Metrics() if metrics is None else metrics
        self._broker: Broker | None = None
        self._index = WriteIndex()
        self._follower = StreamFollower(ECHOES, echoes_topology(), clock, kept=WRITE_LIFETIME)
        self._changed = asyncio.Event()
        self._marks: set[str] = set()

    @asynccontextmanager
    async def attached(self, broker: Broker) -> AsyncIterator[None]:
        """Publish and read through this attachment."""
        self._broker = broker
        following = asyncio.create_task(self._follower.follow(broker, self._handle), name="write notices")
        try:
            yield
        finally:
            self._broker = None
            following.cancel()
            await asyncio.wait([following])

    async def begin(self, write: str, client: str, resource: str, keys: Iterable[str], creates: int) -> None:
        """Announce a write that may change these records, or create `creates` records. `write`: its unique name. Raises `BrokerError`."""
        await self._publish(WriteNotice(write, client, resource, int(self._clock.now()), begun=frozenset(keys), creates=creates))

    async def end(self, write: str, client: str, resource: str, footprints: Iterable[WriteFootprint]) -> None:
        """Report that the write has ended, and its footprints as far as they are known. Raises `BrokerError`."""
        await self._publish(WriteNotice(write, client, resource, int(self._clock.now()), ended=True, footprints=tuple(footprints)))

    async def caught_up(self, within: float) -> bool:
        """Wait until every notice published before this call is read here; False when that takes longer than `within` seconds."""
        mark = WriteNotice(new_id(), "", "", int(self._clock.now()), ended=True)
        self._marks.add(mark.id)
        try:
            async with asyncio.timeout(within):
                await self._publish(mark)
                await self._until(lambda: mark.id not in self._marks)
        except (BrokerError, TimeoutError) as error:
            logger.warning("echoes.unreadable", reason=str(error) or "the stream of write notices was not read in time; changes are published unfiltered")
            return False
        finally:
            self._marks.discard(mark.id)
        return True

    async def wait_until_ended(self, client: str, resource: str, keys: Iterable[str], *, creates: bool, within: float) -> None:
        """Wait up to `within` seconds until no write in flight may have changed these records or, with `creates`, created one."""
        wanted = set(keys)
        try:
            async with asyncio.timeout(within):
                await self._until(lambda: not self._index.in_flight(client, resource, wanted, self._clock.now(), creates=creates))
        except TimeoutError:
            return

    def footprints(self, client: str, resource: str, key: str) -> list[WriteFootprint]:
        """The footprints of our writes on a record, oldest first."""
        return self._index.footprints(client, resource, key)

    async def _publish(self, notice: WriteNotice) -> None:
        if self._broker is None:
            raise BrokerUnreachable("the worker has no connection to the broker")
        await self._follower.publish(self._broker, Message(notice.encode(), message_id=notice.id))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _handle(self, batch: Batch) -> None:
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
            logger.error(
                "echo.refused", offset=delivery.offset, reason="its time lies in the future: no worker wrote it, or a clock is wrong by more than an hour"
            )
            return
        self._marks.discard(notice.id)
        self._index.add(notice)
