"""Garbage collection in short pauses: what survived one full collection is left out of those that follow."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Final, Literal

from worker.core.clock import SystemClock
from worker.core.ports import Clock

THRESHOLDS: Final = (2000, 7, 5)
"""A full collection after 70,000 objects, as the interpreter's own (700, 10, 10). Ten messages in flight are some 1,500 objects: at 700 they cost two looks at them all."""
WHOLE_EVERY: Final = 3600.0  # seconds between two full collections of everything, which hold up the event loop for up to 230 ms each


class ShortPauses:
    """A callback of `gc`. Cycles of what survived one full collection are found within about `WHOLE_EVERY`, or after `look_everywhere`.

    Full collections come as often as by the interpreter's thresholds: a tenth as many took up to 100 ms each under a flood of large messages, since more had come together.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._whole = clock.monotonic()

    def __call__(self, phase: Literal["start", "stop"], info: Mapping[str, int]) -> None:
        if info["generation"] != 2:  # noqa: PLR2004 - the oldest of three
            return
        if phase == "stop":
            gc.freeze()
        elif self._clock.monotonic() - self._whole >= WHOLE_EVERY:
            self._whole = self._clock.monotonic()
            gc.unfreeze()


def look_everywhere() -> None:
    """Have the next full collection look at everything once: what a lost connection leaves behind hangs together in cycles."""
    gc.unfreeze()


def shorten_pauses() -> None:
    """From now on, in this process."""
    gc.callbacks.append(ShortPauses(SystemClock()))
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
