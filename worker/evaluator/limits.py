"""The limits of one evaluation. Times are seconds, sizes are bytes of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIMEOUT: Final = 0.5  # for all expressions of one question together
QUICK: Final = 0.025  # the same limit on the quick lane: a slower question goes to the slow lane
HARD_FACTOR: Final = 2  # of either limit, as CPU time: the kernel then ends the process, since the engine does not check the clock in every loop
MAX_STACK: Final = 200
MAX_SEQUENCE: Final = 100_000
MAX_INPUT: Final = 4 * 1024 * 1024
MAX_OUTPUT: Final = 4 * 1024 * 1024  # of each expression
MAX_VALUES: Final = 100_000  # in the result of each expression: decoding them blocks the event loop for about 40 ms
QUICK_MEMORY: Final = 48  # MiB of an evaluation on the quick lane


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings of one evaluation: MiB of memory, and seconds."""

    memory: int = 128
    seconds: float = TIMEOUT
