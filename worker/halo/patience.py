"""Waiting that ends when the worker stops: what has not left by then stays unsent, what is under way is not disturbed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Patience:
    """Requests wait as long as it takes for their turn and their token, until `end` is called; from then on only what need not wait is sent."""

    def __init__(self) -> None:
        self._ended = False
        self._waiting: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[asyncio.Timeout]:
        """Around all that belongs to one request. Raises TimeoutError when it is cut short; `sending` keeps it from that."""
        async with asyncio.timeout(None) as limit:
            self._hold(limit)
            try:
                yield limit
            finally:
                self._waiting.discard(limit)

    @contextmanager
    def sending(self, limit: asyncio.Timeout) -> Iterator[None]:
        """While the request is on its way."""
        self._waiting.discard(limit)
        limit.reschedule(None)
        yield
        self._hold(limit)

    def end(self) -> None:
        self._ended = True
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())

    def _hold(self, limit: asyncio.Timeout) -> None:
        self._waiting.add(limit)
        if self._ended:
            limit.reschedule(asyncio.get_running_loop().time())
