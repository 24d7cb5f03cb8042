"""Decides when to log a repeated state again: at once, then at growing intervals. Pure."""

from __future__ import annotations

FIRST = 30.0  # seconds
MAX_INTERVAL = 3600.0
MAX_STATES = 50  # states that are remembered


class Repeats:
    """The states of one place in the code. A state is a text, such as a reason. A state that returns after a long absence counts as new."""

    def __init__(self) -> None:
        self._states: dict[str, tuple[float, float]] = {}

    def due(self, state: str, now: float) -> bool:
        """Whether to log this state now; `now`: monotonic seconds."""
        at, pause = self._states.get(state, (now, 0.0))
        if now < at:
            return False
        pause = FIRST if not pause or now > at + pause else min(2 * pause, MAX_INTERVAL)
        self._states.pop(state, None)
        while len(self._states) >= MAX_STATES:
            del self._states[next(iter(self._states))]
        self._states[state] = (now + pause, pause)
        return True
