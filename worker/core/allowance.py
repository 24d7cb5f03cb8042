"""The pace at which requests may start when many replicas share one rate limit, so that Halo never counts more than the limit in any rolling window. Pure.

One replica issues permits at an even rate, and every request takes one before it starts. No record of earlier requests is kept: the bound follows from the pace.

Halo counts a request at an unknown moment between its start and its end. The permit that covers this moment is not much older than the moment itself:

- `renewal`: a request that runs longer takes (and uses up) one more permit each `renewal` seconds. So the moment lies at most this long after a permit was due.
- `lag`: the time that a renewal waits for its permit, and that a permit needs to reach its queue.
- `use`: a permit is used within this time after a replica asked for it. It was still in its queue then.
- `life`: the time that a permit stays in its queue.
- `late`: the longest delay that a late issuer makes up for.

Each request that Halo counts in a window therefore has its own permit, issued in that window or at most renewal + lag + use + life before it. With an interval of
(seconds + life + use + late + renewal + lag) / requests between two permits, no more than `requests` are issued in that time.
For 700/5m: (300.3 + 4.3 + 1 + 1 + 10 + 3) / 690 = 0.463 s, which is 648 requests in five minutes, or 92.5 % of the limit. 10 of the 700 are held back for token calls
and probes, which must work without a broker.

Limits:

- One count may shift for each request whose renewal waits longer than `lag`, and for each request of a frozen process. A replica whose renewals wait starts no new
  request, and there is room for rate x (renewal + lag) of them: 28 for 700/5m.
- The replicas use less of the limit in windows below some 20 seconds: less than half of 1000/1s. No exchange over a network is fast enough for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

BURST = 10  # permits that wait in the queue while there is little to do
DRIFT = 1.001  # our clock and Halo's may run at slightly different rates
HELD_BACK = 0.015
TICK = 0.05  # seconds, at least, between two permits; above 20 requests a second one permit allows several


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start at most `requests` requests, each until `until` (monotonic)."""

    requests: int
    until: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rate limit as permits, in seconds. The docstring of the module defines the parts."""

    interval: float
    life: float
    use: float
    late: float
    renewal: float
    lag: float

    @classmethod
    def of(cls, requests: int, seconds: float) -> Self:
        """The allowance for at most `requests` in any rolling `seconds`."""
        even = seconds / requests
        life = max(0.25, min(seconds / 60, BURST * even), 2 * even)  # of two permits, one is still there when a replica polls
        use, late = min(max(seconds / 60, 0.25), 1.0), min(max(seconds / 60, 0.1), 1.0)
        renewal, lag = max(0.5, seconds / 30), max(0.2, seconds / 100)
        held_back = max(round(requests * HELD_BACK), min(2, requests // 10))
        span = seconds * DRIFT + life + use + late + renewal + lag
        return cls(span / max(1, requests - held_back), life, use, late, renewal, lag)

    @property
    def mark(self) -> float:
        """Lifetime of an issuer's mark, in seconds: longer than an interval, so that an issuer and its successor together keep the pace."""
        return max(1.5, 2 * self.interval)

    @property
    def most(self) -> int:
        """Requests that one permit allows at most: as many as a late issuer makes up for."""
        return int(self.late / self.interval) + 1

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls for a permit while there is none."""
        return min(max(self.interval / 4, TICK), 0.5)


class Pace:
    """Counts the permits that are due: one each interval. A late issuer makes up for at most `late` seconds. Times are monotonic arguments."""

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._interval = allowance.interval
        self._late = allowance.late
        self._next = now

    def due(self, now: float) -> int:
        """Permits to issue now; they count as issued."""
        self._next = max(self._next, now - self._late)
        if now < self._next:
            return 0
        count = int((now - self._next) / self._interval) + 1
        self._next += count * self._interval
        return count

    def confirmed(self, count: int, began: float, now: float) -> None:
        """Note when the broker confirmed these permits: if that took longer than `late`, they count as issued when they arrived."""
        if now - began > self._late:
            self._next = max(self._next, now + count * self._interval)

    def wait(self, now: float) -> float:
        """Seconds until the next permit is due, at least a tick."""
        return max(self._next - now, TICK)
