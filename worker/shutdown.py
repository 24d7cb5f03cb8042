"""Stops the worker: one event that SIGTERM and SIGINT set, and one grace period for work in flight."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger()


@asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """The event that the first SIGTERM or SIGINT sets. A second one ends the process at once with exit code 1."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            log.error("worker.killed", signal=number.name, reason="a second signal")
            os._exit(1)  # an obstacle to the drain must not delay this exit
        log.info("worker.stopping", signal=number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def asked_by_hangup() -> AsyncIterator[asyncio.Event]:
    """The event that each SIGHUP sets."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    try:
        yield asked
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


async def run_until(stop: asyncio.Event, grace: float, main: Callable[[], Awaitable[None]]) -> bool:
    """Run `main`, which must end once `stop` is set. Cancel it `grace` seconds after that.

    Return True when it ended in time, False when it was cancelled. Its exceptions propagate.
    """
    scope = asyncio.timeout(None)
    try:
        async with scope:
            watch = asyncio.create_task(_start_grace(stop, grace, scope), name="grace")
            try:
                await main()
            finally:
                watch.cancel()
    except TimeoutError:
        if not scope.expired():
            raise
        log.warning("worker.cut_off", grace=grace, reason="messages in flight did not end within the grace period")
        return False
    return True


async def _start_grace(stop: asyncio.Event, grace: float, scope: asyncio.Timeout) -> None:
    await stop.wait()
    scope.reschedule(asyncio.get_running_loop().time() + grace)
