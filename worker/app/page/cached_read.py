"""One value for many viewers: a separate task reads it at a limited rate, and a viewer waits only briefly for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from worker.core.errors import WorkerError
from worker.core.ports import Clock
from worker.web.page.model import CachedValue

logger = structlog.get_logger()
T = TypeVar("T")
VIEWER_WAIT = 0.5  # seconds that a viewer waits for a fresh value; then the page shows the last value with its age


class CachedRead(Generic[T]):
    """Shares one value. `read`: reads it; raises `WorkerError`. `every`: seconds for which a value is fresh.

    `rest`: a value stays fresh for at least `rest` times the duration of its read.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock, *, every: float, rest: float = 4.0, viewer_wait: float = VIEWER_WAIT) -> None:
        self._read = read
        self._clock = clock
        self._every = every
        self._rest = rest
        self._patience = viewer_wait
        self._seen: CachedValue[T] = CachedValue(None)
        self._next = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read the value again now: the last one is out of date."""
        if self._reading is not None:
            await asyncio.wait([self._reading])
        self._next = float("-inf")
        await self.get()

    async def get(self) -> CachedValue[T]:
        if self._reading is None and self._clock.monotonic() >= self._next:
            self._reading = asyncio.create_task(self._refresh(), name="status page")
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=self._patience)
        return self._seen

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _refresh(self) -> None:
        begun = self._clock.monotonic()
        try:
            value = await self._read()
            self._seen = CachedValue(value, self._clock.now())
        except WorkerError as error:
            self._seen = CachedValue(self._seen.value, self._seen.at, str(error) or type(error).__name__)
        except TimeoutError:
            self._seen = CachedValue(self._seen.value, self._seen.at, "the broker did not answer in time")
        finally:
            took = self._clock.monotonic() - begun
            self._next = self._clock.monotonic() + max(self._every, self._rest * took)
            self._reading = None
