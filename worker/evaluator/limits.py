"""What one evaluation may take. Time is told in seconds, sizes in bytes of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIMEOUT: Final = 0.5  # for all expressions of one question together
QUICK: Final = 0.025  # the same where others wait behind it: what needs more is evaluated again, apart from them
HARD_FACTOR: Final = 2  # of either limit, as CPU time: beyond it the kernel ends the process, since the engine does not look at the clock in every loop
MAX_STACK: Final = 200
MAX_SEQUENCE: Final = 100_000
MAX_INPUT: Final = 4 * 1024 * 1024
MAX_OUTPUT: Final = 4 * 1024 * 1024  # of each expression
MAX_VALUES: Final = 100_000  # in the result of each expression: so many are decoded in some 40 ms, during which the event loop does nothing else
QUICK_MEMORY: Final = 48  # MiB that an evaluation may take where others wait behind it


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may take in all: MiB of memory, and seconds."""

    memory: int = 128
    seconds: float = TIMEOUT
