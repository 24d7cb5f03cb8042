"""The attachment to a RabbitMQ server: plain connections. When one is lost, the caller builds the whole attachment again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from aiormq.exceptions import ChannelLockedResource

from worker.broker.rabbitmq.channel import RabbitChannel, open_channel
from worker.broker.rabbitmq.connection import CLOSE_TIMEOUT, retrieve_error
from worker.broker.rabbitmq.connections import AmqpConnections, open_connections
from worker.broker.rabbitmq.declare import Inspector, declare
from worker.broker.rabbitmq.failures import explain, translate_errors
from worker.broker.rabbitmq.lenient_decoding import read_leniently
from worker.core.errors import ChannelLost, PublishRefused, QueueMissing
from worker.core.message import Message
from worker.core.topology import Topology

T = TypeVar("T")


class RabbitBroker:
    """An attachment to RabbitMQ. Publishing has a separate connection: under an alarm the broker stops reading that connection, acknowledgements included."""

    def __init__(self, publishing: AmqpConnections, consuming: AmqpConnections, call_timeout: float) -> None:
        self._publishers, self._publishing = publishing, publishing.first
        self._consumers, self._consuming = consuming, consuming.first
        self._call_timeout = call_timeout
        self._own = AsyncExitStack()
        self._own_channel: RabbitChannel | None = None
        self._retired: list[tuple[RabbitChannel, AsyncExitStack]] = []
        self._own_guard = asyncio.Lock()
        self._inspector = Inspector(self._consuming, call_timeout)
        self._locks: set[str] = set()
        self._asking: set[asyncio.Future[Any]] = set()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        for connections in (publishing, consuming):
            connections.watch(self._on_closing)

    @asynccontextmanager
    async def channel(self, *, prefetch: int = 0, publishing: bool = False) -> AsyncIterator[RabbitChannel]:
        connections = self._publishers if publishing else self._consumers
        async with connections.with_room() as connection, open_channel(connection, prefetch=prefetch, call_timeout=self._call_timeout) as channel:
            yield channel

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        channel = await self._publisher()
        try:
            await channel.publish(message, routing_key=routing_key, exchange=exchange)
        except PublishRefused:
            self._retire(channel)
            raise

    async def declare(self, topology: Topology) -> None:
        await self._consuming.while_connected(declare(self._consuming, topology, self._call_timeout), "queues cannot be declared")

    async def delete(self, topology: Topology) -> None:
        with translate_errors("the broker was lost while queues were deleted"):
            async with self._consuming.methods(self._call_timeout) as methods:
                for queue in topology.queues:
                    await methods.queue_delete(queue.name, timeout=self._call_timeout)
                for exchange in topology.exchanges:
                    await methods.exchange_delete(exchange.name, timeout=self._call_timeout)

    async def queue_exists(self, queue: str) -> bool:
        return await self.queue_depth(queue) is not None

    async def queue_depth(self, queue: str) -> int | None:
        found = await self._ask(self._inspector.ask(queue))
        return None if found is None else found.message_count or 0

    async def consumers(self, queue: str) -> int:
        found = await self._ask(self._inspector.ask(queue))
        return 0 if found is None else found.consumer_count or 0

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer to a question, which runs to its end even if its caller stops waiting: a half-open channel can close its connection."""
        asking = asyncio.ensure_future(question)
        self._asking.add(asking)
        asking.add_done_callback(self._forget_question)
        return await asyncio.shield(asking)

    def _forget_question(self, asking: asyncio.Future[Any]) -> None:
        self._asking.discard(asking)
        retrieve_error(asking)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[bool]:
        if name in self._locks:  # the broker lets a connection declare its own exclusive queue again
            yield False
            return
        self._locks.add(name)
        try:
            had = await self._take_lock(name)
            try:
                yield had
            finally:
                if had:
                    await self._release_lock(name)
        finally:
            self._locks.discard(name)

    @property
    def lost(self) -> bool:
        return self._lost.done()

    async def wait_lost(self) -> str:
        return await asyncio.shield(self._lost)

    def lose(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)

    @property
    def blocked(self) -> str:
        """Why the broker blocks publishing, empty when it does not. Readiness shows it; the attachment stays alive."""
        return "the broker has blocked publishing: a memory or disk alarm" if self._publishing.blocked else ""

    async def close(self) -> None:
        """Close the attachment's own channels. `connect` closes the connections."""
        self.lose("it was closed here")
        if self._asking:
            await asyncio.wait(self._asking, timeout=CLOSE_TIMEOUT)
        if not self._asking:
            await self._inspector.close()
        for _, opened in self._retired:
            await opened.aclose()
        await self._own.aclose()

    def _retire(self, channel: RabbitChannel) -> None:
        """Publish over another channel from now on.

        A quorum queue without a leader refuses a channel's first message, and then refuses that channel for ever, even with a leader (RabbitMQ 3.10.8).
        The channel is closed when nothing is in flight on it.
        """
        if self._own_channel is channel:
            self._retired.append((channel, self._own))
            self._own_channel, self._own = None, AsyncExitStack()

    async def _publisher(self) -> RabbitChannel:
        async with self._own_guard:
            for channel, opened in [each for each in self._retired if not each[0].publishing]:
                self._retired.remove((channel, opened))
                await opened.aclose()
            if self._own_channel is None or self._own_channel.closed:
                await self._own.aclose()
                self._own_channel = await self._own.enter_async_context(self.channel(publishing=True))
            return self._own_channel

    async def _take_lock(self, name: str) -> bool:
        with translate_errors(f"the broker was lost while locking {name!r}"):
            async with self._publishing.methods(self._call_timeout) as methods:
                try:
                    await methods.queue_declare(name, exclusive=True, timeout=self._call_timeout)
                except ChannelLockedResource:
                    return False
        return True

    async def _release_lock(self, name: str) -> None:
        with suppress(ChannelLost, QueueMissing), translate_errors(f"the broker was lost while unlocking {name!r}"):  # a lost connection has released it
            async with self._publishing.methods(CLOSE_TIMEOUT) as methods:
                await methods.queue_delete(name, timeout=CLOSE_TIMEOUT)

    def _on_closing(self, closing: asyncio.Future[Any]) -> None:
        self.lose("the connection was lost" if closing.cancelled() else explain(closing.exception()))


@asynccontextmanager
async def connect(url: str, *, name: str, heartbeat: int = 10, publish_timeout: float = 30.0, connect_timeout: float = 10.0) -> AsyncIterator[RabbitBroker]:
    """Attach to RabbitMQ. `name`: the connection's name on its management pages. Raises `BrokerUnreachable` with the reason.

    The worker notices a silent connection after a little more than three times `heartbeat` (seconds).
    """
    read_leniently()
    async with (
        open_connections(url, name, "publishing", heartbeat, connect_timeout) as publishing,
        open_connections(url, name, "consuming", heartbeat, connect_timeout) as consuming,
    ):
        broker = RabbitBroker(publishing, consuming, publish_timeout)
        try:
            yield broker
        finally:
            await broker.close()
