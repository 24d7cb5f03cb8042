"""Whether what a consumer needs is there: one Halo client, several, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from worker.flows.waiting import race


class Availability(Protocol):
    """What a consumer looks at before it takes messages; a Halo client is one."""

    @property
    def available(self) -> bool: ...

    async def wait_available(self) -> None: ...

    async def wait_unavailable(self) -> None: ...


class AllAvailable:
    """Available while all of them are; of none, always."""

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
