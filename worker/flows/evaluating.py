"""Handles a message while no expression can be evaluated: the message is not at fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from worker.core.errors import EvaluatorUnavailable
from worker.core.outcome import NotSent
from worker.core.ports import Clock
from worker.core.repeats import Repeats

logger = structlog.get_logger()
Value = TypeVar("Value")
RETRY_DELAY = 1.0  # seconds


def unevaluated(error: EvaluatorUnavailable) -> NotSent:
    """Return the outcome of a message for which nothing was done yet: it is tried again, uncounted."""
    return NotSent(str(error), counted=False, after=RETRY_DELAY)


async def once_evaluated(evaluate: Callable[[], Awaitable[Value]], clock: Clock) -> Value:
    """Return the value as soon as it can be evaluated.

    For a message that cannot go back: the step before it is done, or other messages wait behind it.
    """
    repeats = Repeats()
    while True:
        try:
            return await evaluate()
        except EvaluatorUnavailable as error:
            if repeats.due(str(error), clock.monotonic()):
                logger.warning("evaluation.waits", reason=str(error), again_in_s=RETRY_DELAY)
            await clock.sleep(RETRY_DELAY)
