"""Waits for the first of several waits to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def race(*waits: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the wait itself is what is bounded
    """Return the result of the first wait to end (of several at once, the first in order); cancel the others. None after `timeout` seconds."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        done = next((task for task in tasks if task.done()), None)
        return done.result() if done is not None else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
