"""Whether the event loop takes turns while something works: another task counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Callable[[], int]]:
    """Turns of the loop since it was entered, as a function to ask."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(other())
    await asyncio.sleep(0)
    try:
        yield lambda: turns
    finally:
        beside.cancel()
