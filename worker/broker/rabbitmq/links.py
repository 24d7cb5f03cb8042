"""The connections of one kind to a broker. It opens one more when half of the channels of each connection are in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from worker.broker.rabbitmq.connection import Link, linked
from worker.core.errors import BrokerUnreachable, ChannelLost

logger = structlog.get_logger()
SHARE = 2  # the other half of a connection's channels serves queries, declarations and locks, which come together when a worker starts
OnClosing = Callable[[asyncio.Future[Any]], None]


class Links:
    """The connections of one attachment. `more`: opens the connection with this number."""

    def __init__(self, first: Link, more: Callable[[int], AbstractAsyncContextManager[Link]]) -> None:
        self.first = first
        self._more = more
        self._on_closing: OnClosing = lambda _: None
        self._used: dict[Link, int] = {}
        self._closings: list[asyncio.Future[Any]] = []
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._closed = False
        self._add(first)

    @asynccontextmanager
    async def with_room(self) -> AsyncIterator[Link]:
        """A connection with room for a channel, held while the channel is open. Raises `ChannelLost`."""
        link = self._free() or await self._one_more()
        self._used[link] += 1
        try:
            yield link
        finally:
            self._used[link] -= 1

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

    def _free(self) -> Link | None:
        return next((link for link, used in self._used.items() if used < max(1, link.channel_max // SHARE)), None)

    async def _one_more(self) -> Link:
        async with self._opening:
            while (link := self._free()) is None:
                if self._closed:
                    raise ChannelLost("no channel can be opened: the connections are being closed")
                number = len(self._used) + 1
                try:
                    self._add(await self._opened.enter_async_context(self._more(number)))
                except BrokerUnreachable as error:  # only the additional connection failed: the attachment lives
                    raise ChannelLost(f"no channel can be opened: {error}") from error
                logger.info("broker.connection_added", number=number, reason="half of the channels of each other one are in use")
        return link

    def _add(self, link: Link) -> None:
        self._used[link] = 0
        self._closings.append(closing := link.closing)
        closing.add_done_callback(self._on_closing)


@asynccontextmanager
async def linked_as_needed(url: str, name: str, kind: str, heartbeat: int, call_timeout: float) -> AsyncIterator[Links]:
    """Open the first connection, and more as they are needed. Raises `BrokerUnreachable` with the reason."""
    async with linked(url, f"{name} ({kind})", heartbeat, call_timeout) as first:
        links = Links(first, lambda number: linked(url, f"{name} ({kind} {number})", heartbeat, call_timeout))
        try:
            yield links
        finally:
            await links.close()
