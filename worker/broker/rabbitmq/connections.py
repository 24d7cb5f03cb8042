"""The connections of one kind to a broker. It opens one more when half of the channels of each connection are in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from worker.broker.rabbitmq.connection import AmqpConnection, open_connection
from worker.core.errors import BrokerUnreachable, ChannelLost

logger = structlog.get_logger()
SHARE = 2  # the other half of a connection's channels serves queries, declarations and locks, which come together when a worker starts
OnClosing = Callable[[asyncio.Future[Any]], None]


class AmqpConnections:
    """The connections of one attachment. `more`: opens the connection with this number."""

    def __init__(self, first: AmqpConnection, more: Callable[[int], AbstractAsyncContextManager[AmqpConnection]]) -> None:
        self.first = first
        self._more = more
        self._on_closing: OnClosing = lambda _: None
        self._used: dict[AmqpConnection, int] = {}
        self._closings: list[asyncio.Future[Any]] = []
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._closed = False
        self._add(first)

    @asynccontextmanager
    async def with_room(self) -> AsyncIterator[AmqpConnection]:
        """A connection with room for a channel, held while the channel is open. Raises `ChannelLost`."""
        connection = self._free() or await self._one_more()
        self._used[connection] += 1
        try:
            yield connection
        finally:
            self._used[connection] -= 1

    def watch(self, on_closing: OnClosing) -> None:
        """Call `on_closing` when any connection ends, also for one that has ended already."""
        self._on_closing = on_closing
        for closing in self._closings:
            closing.add_done_callback(on_closing)

    async def close(self) -> None:
        """Close all but the first."""
        async with self._opening:
            self._closed = True
            await self._opened.aclose()

    def _free(self) -> AmqpConnection | None:
        return next((connection for connection, used in self._used.items() if used < max(1, connection.channel_max // SHARE)), None)

    async def _one_more(self) -> AmqpConnection:
        async with self._opening:
            while (connection := self._free()) is None:
                if self._closed:
                    raise ChannelLost("no channel can be opened: the connections are being closed")
                number = len(self._used) + 1
                try:
                    self._add(await self._opened.enter_async_context(self._more(number)))
                except BrokerUnreachable as error:  # only the additional connection failed: the attachment lives
                    raise ChannelLost(f"no channel can be opened: {error}") from error
                logger.info("broker.connection_added", number=number, reason="half of the channels of each other one are in use")
        return connection

    def _add(self, connection: AmqpConnection) -> None:
        self._used[connection] = 0
        self._closings.append(closing := connection.closing)
        closing.add_done_callback(self._on_closing)


@asynccontextmanager
async def open_connections(url: str, name: str, kind: str, heartbeat: int, call_timeout: float) -> AsyncIterator[AmqpConnections]:
    """Open the first connection, and more as they are needed. Raises `BrokerUnreachable` with the reason."""
    async with open_connection(url, f"{name} ({kind})", heartbeat, call_timeout) as first:
        connections = AmqpConnections(first, lambda number: open_connection(url, f"{name} ({kind} {number})", heartbeat, call_timeout))
        try:
            yield connections
        finally:
            await connections.close()
