"""The request limit of a tenant: at most N requests in any window of time."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from aiohttp import web

from worker.sandbox.responses import refusal_answer
from worker.sandbox.settings import SandboxSettings


class RateLimiter:
    """A rolling window over the times of requests; the caller supplies the time."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def admit(self, now: float, limit: int | None, window: float, *, counts_refused: bool) -> bool:
        """Whether one more request is within the limit; a limit of None admits all."""
        if limit is None:
            return True
        while self._moments and self._moments[0] <= now - window:
            self._moments.popleft()
        admitted = len(self._moments) < limit
        if admitted or counts_refused:
            self._moments.append(now)
        return admitted


def refuse_over_limit(limiter: RateLimiter, now: datetime, settings: SandboxSettings) -> web.Response | None:
    """The 429 for one request too many; None if the request is within the limit."""
    limit, window = settings.rate_limit, settings.rate_window
    if limiter.admit(now.timestamp(), limit, window, counts_refused=settings.limit_counts_refused):
        return None
    return refusal_answer(f"Rate Limit Reached - {limit} Requests per rolling {window / 60:g} minute window", settings.limit_wrapper, 429)
