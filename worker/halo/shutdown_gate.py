"""Ends waits when the worker stops: waiting requests stay unsent, and requests in flight continue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ShutdownGate:
    """Requests wait without limit for their token and their budget until `close`. After that, only requests that need not wait are sent."""

    def __init__(self) -> None:
        self._closed = False
        self._waiting: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Guard the waiting in the block. Raises TimeoutError when the gate closes."""
        async with asyncio.timeout(None) as limit:
            self._waiting.add(limit)
            if self._closed:
                limit.reschedule(asyncio.get_running_loop().time())
            try:
                yield
            finally:
                self._waiting.discard(limit)

    def close(self) -> None:
        self._closed = True
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())
