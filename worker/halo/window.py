"""Decides when the next request may start, so that Halo never counts more than its limit in any rolling window. Pure: time is an argument."""

from __future__ import annotations

from collections import deque

BURST = 10
DRIFT = 1.001  # our clock and Halo's may run at slightly different rates: so a window counts as a thousandth longer


class Window:
    """Allows at most `requests` in any rolling `seconds`: the first `burst` at once, the others at the even rate.

    Halo counts a request at an unknown moment between its start and its end. A request therefore holds its place from its start until a whole window after
    its end. The last of N + 1 requests that Halo could count in one window would find all N places held, and does not start.
    The price is that requests of a duration d use `seconds / (seconds + d)` of the allowance.
    """

    def __init__(self, requests: int, seconds: float, burst: int = BURST) -> None:
        self._requests = requests
        self._held_for = seconds * DRIFT
        self._interval = seconds / requests
        self._tolerance = (min(burst, requests) - 1) * self._interval
        self._even = 0.0
        """When the next request is due at the even rate; it may start earlier by the tolerance."""
        self._running = 0
        self._ended: deque[float] = deque()
        """When the places of ended requests become free, in order."""

    def delay(self, now: float) -> float | None:
        """Seconds until a request may start (0: now); None when that depends on the end of a running request."""
        even = max(0.0, self._even - self._tolerance - now)
        if self.used(now) < self._requests:
            return even
        return max(even, self._ended[0] - now) if self._ended else None

    def start(self, now: float) -> None:
        self._running += 1
        self._even = max(self._even, now) + self._interval

    def end(self, now: float) -> None:
        self._running -= 1
        self._ended.append(now + self._held_for)

    def give_back(self) -> None:
        """Undo the start of a request that never left: it does not count."""
        self._running -= 1
        self._even -= self._interval

    def used(self, now: float) -> int:
        """The number of places held."""
        while self._ended and self._ended[0] <= now:
            self._ended.popleft()
        return self._running + len(self._ended)
