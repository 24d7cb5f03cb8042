"""Waiting for what comes soon, without sleeping for a guessed time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

SOON = 120.0  # on a busy machine; nothing waits as long that goes well
T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T]], within: float = SOON) -> T:
    """Ask again and again for something true; a TimeoutError after `within` seconds."""
    pause = 0.005
    async with asyncio.timeout(within):
        while not (found := await condition()):  # what is waited for is on the other side of a socket
            await asyncio.sleep(pause)
            pause = min(0.1, pause * 1.2)  # to ask costs the machine time that the answer needs
        return found


async def soon(awaitable: Awaitable[T], within: float = SOON) -> T:
    """A TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        return await awaitable
