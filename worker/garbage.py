"""Garbage collection in short pauses: objects that survived a full collection are left out of the next ones."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Final, Literal

from worker.core.clock import SystemClock
from worker.core.ports import Clock

THRESHOLDS: Final = (2000, 7, 5)
"""A full collection after 70,000 objects, as by default (700, 10, 10). Ten messages in flight are some 1,500 objects: 700 would scan them all twice."""
WHOLE_EVERY: Final = 3600.0  # seconds between two full collections of all objects, which block the event loop for up to 230 ms each


class ShortPauses:
    """A callback of `gc`. It finds cycles among objects that survived a full collection within about `WHOLE_EVERY`, or after `look_everywhere`.

    Full collections come as often as with the interpreter's thresholds. A tenth as many took up to 100 ms each under a flood of large messages, since more
    objects had accumulated.
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
    """Make the next full collection scan all objects once: the objects of a lost connection form cycles."""
    gc.unfreeze()


def shorten_pauses() -> None:
    """Shorten the pauses of garbage collection in this process from now on."""
    gc.callbacks.append(ShortPauses(SystemClock()))
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
