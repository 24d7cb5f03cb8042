"""An attachment to an embedded broker. It corresponds to a pair of connections to RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.broker.memory.channel import MemoryChannel
from worker.broker.memory.server import MemoryServer
from worker.core.errors import ChannelLost
from worker.core.message import Message
from worker.core.topology import Topology


class MemoryBroker:
    """An attachment to an embedded broker. `blocked` is always empty: this broker raises no alarm."""

    blocked = ""

    def __init__(self, server: MemoryServer, name: str) -> None:
        self.name = name
        self._server = server
        self._channels: set[MemoryChannel] = set()
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def channel(self, *, prefetch: int = 0, publishing: bool = False) -> AsyncIterator[MemoryChannel]:  # noqa: ARG002  # one attachment serves both ways
        self._require_attached()
        channel = MemoryChannel(self._server, prefetch)
        self._channels.add(channel)
        try:
            yield channel
        finally:
            self._channels.discard(channel)
            channel.close("it was closed here")

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        async with self.channel(publishing=True) as channel:
            await channel.publish(message, routing_key=routing_key, exchange=exchange)

    async def declare(self, topology: Topology) -> None:
        await self._turn()
        self._server.declare(topology)

    async def delete(self, topology: Topology) -> None:
        await self._turn()
        for queue in topology.queues:
            if self._server.depth(queue.name) is not None:
                self._server.delete_queue(queue.name)
        for exchange in topology.exchanges:
            self._server.delete_exchange(exchange.name)

    async def queue_exists(self, queue: str) -> bool:
        return await self.queue_depth(queue) is not None

    async def queue_depth(self, queue: str) -> int | None:
        await self._turn()
        return self._server.depth(queue)

    async def consumers(self, queue: str) -> int:
        await self._turn()
        found = self._server.queue(queue)
        return 0 if found is None else found.consumers

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[bool]:
        await self._turn()
        had = name not in self._server.locks
        if had:
            self._server.locks[name] = self
        try:
            yield had
        finally:
            if had and self._server.locks.get(name) is self:
                del self._server.locks[name]

    @property
    def lost(self) -> bool:
        return self._lost.done()

    async def wait_lost(self) -> str:
        return await asyncio.shield(self._lost)

    def lose(self, why: str) -> None:
        """Close the channels, free the locks and end `wait_lost` with the reason; the first reason stays."""
        for channel in list(self._channels):
            channel.close(why)
        for name in [name for name, holder in self._server.locks.items() if holder is self]:
            del self._server.locks[name]
        self._server.attached.discard(self)
        if not self._lost.done():
            self._lost.set_result(why)

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        self._require_attached()

    def _require_attached(self) -> None:
        if self._lost.done():
            raise ChannelLost(f"the connection is closed: {self._lost.result()}")


@asynccontextmanager
async def attach(server: MemoryServer, name: str) -> AsyncIterator[MemoryBroker]:
    """Attach to an embedded broker. At exit all unacknowledged messages return to their queues."""
    broker = MemoryBroker(server, name)
    server.attached.add(broker)
    try:
        yield broker
    finally:
        broker.lose("it was closed here")
