"""The request limit of a tenant: so many in any window of time."""

from __future__ import annotations

from collections import deque


class RateLimiter:
    """Moments of the requests in the window, by a clock that the caller brings."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def admit(self, now: float, limit: int | None, window: float, *, counts_refused: bool) -> bool:
        """Whether one more request is within the limit; None: there is none."""
        if limit is None:
            return True
        while self._moments and self._moments[0] <= now - window:
            self._moments.popleft()
        admitted = len(self._moments) < limit
        if admitted or counts_refused:
            self._moments.append(now)
        return admitted

    @property
    def used(self) -> int:
        return len(self._moments)


def rate_limit_message(limit: int, window: float) -> str:
    return f"Rate Limit Reached - {limit} Requests per rolling {window / 60:g} minute window"
