"""Whether the Halo clients that a consumer needs are available: one, several, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from worker.flows.waiting import race


class Availability(Protocol):
    """A service that must be available before a consumer takes messages; a Halo client implements it."""

    @property
    def available(self) -> bool: ...

    async def wait_available(self) -> None: ...

    async def wait_unavailable(self) -> None: ...


class AllAvailable:
    """Available while all parts are available; always, if there are no parts."""

    def __init__(self, parts: Sequence[Availability]) -> None:
        self._parts = tuple(parts)

    @property
    def available(self) -> bool:
        return all(part.available for part in self._parts)

    async def wait_available(self) -> None:
        while not self.available:
            for part in self._parts:
                await part.wait_available()

    async def wait_unavailable(self) -> None:
        if not self._parts:
            await asyncio.Event().wait()
        await race(*(part.wait_unavailable() for part in self._parts))
