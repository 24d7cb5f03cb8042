"""How often requests may start when many replicas share one rate limit, so that Halo never counts more than the limit in any rolling window. Pure.

One replica mints permits at an even rate; whoever sends takes one first. Nobody knows what was sent before: the bound follows from the pace alone.

Halo counts a request at some moment between its start and its end, unknown to us. Follow that moment back to the permit that covers it:

- it lies at most `renewal` seconds after the start of the request, or after its last renewal was due: a request that runs longer takes (and burns) a further
  permit each `renewal` seconds;
- a renewal waits for its permit, and a permit needs some time to reach its queue: `lag` for both;
- a permit is used within `use` seconds after it was asked for, at which time it still lay in its queue, where it lives for `life` seconds.

So each request that Halo counts in a window of `seconds` has a permit of its own, minted in that window or at most renewal + lag + use + life before it. A minter that is
late catches up by `late` seconds at most. With the interval (seconds + life + use + late + renewal + lag) / requests between two permits, no more than `requests`
are minted in that time. For 700/5m: (300.3 + 4.3 + 1 + 1 + 10 + 3) / 690 = 0.463 s, that is 648 requests in five minutes, 92.5 % of the limit. What is held back (10 of 700)
is for those who need no permit: token calls and probes, which must work without a broker.

Where it ends: a renewal that waits longer than `lag`, since all replicas together have more long requests running than permits are minted, and a process that is frozen
with requests in its hands, can shift one count per such request. A replica whose renewals wait starts nothing new meanwhile, and there is room for
rate x (renewal + lag) of them (28 for 700/5m). Windows below about 20 seconds are shared at a growing loss (1000/1s at less than half): nothing over a network is fast enough for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

BURST = 10  # permits that wait for somebody while little is to be done
DRIFT = 1.001  # our clocks and Halo's need not run alike
HELD_BACK = 0.015
TICK = 0.05  # seconds between two permits at least; above 20 a second one permit is good for several requests


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start so many requests, each until `until` (monotonic)."""

    requests: int
    until: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """A rate limit as permits; all in seconds. The module's docstring says what the parts are."""

    interval: float
    life: float
    use: float
    late: float
    renewal: float
    lag: float

    @classmethod
    def of(cls, requests: int, seconds: float) -> Self:
        """For at most `requests` in any rolling `seconds`."""
        even = seconds / requests
        life = max(0.25, min(seconds / 60, BURST * even), 2 * even)  # of two permits one is still there when a replica looks
        use, late = min(max(seconds / 60, 0.25), 1.0), min(max(seconds / 60, 0.1), 1.0)
        renewal, lag = max(0.5, seconds / 30), max(0.2, seconds / 100)
        held_back = max(round(requests * HELD_BACK), min(2, requests // 10))
        span = seconds * DRIFT + life + use + late + renewal + lag
        return cls(span / max(1, requests - held_back), life, use, late, renewal, lag)

    @property
    def mark(self) -> float:
        """How long it can be seen that somebody mints: longer than an interval, so that two minters in turn keep the pace of one."""
        return max(1.5, 2 * self.interval)

    @property
    def most(self) -> int:
        """Requests that one permit is good for at most: what a minter makes up for when it is late."""
        return int(self.late / self.interval) + 1

    @property
    def look(self) -> float:
        """The time between two looks for a permit while there is none."""
        return min(max(self.interval / 4, TICK), 0.5)


class Pace:
    """When how many permits are due: one each interval; a minter that is late makes up for `late` seconds at most. Time comes in as an argument, monotonic."""

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._interval = allowance.interval
        self._late = allowance.late
        self._next = now

    def due(self, now: float) -> int:
        """Permits to be minted now; they count as minted."""
        self._next = max(self._next, now - self._late)
        if now < self._next:
            return 0
        count = int((now - self._next) / self._interval) + 1
        self._next += count * self._interval
        return count

    def minted(self, count: int, began: float, now: float) -> None:
        """The broker has them only now: a piece that was long on its way counts as minted when it arrived."""
        if now - began > self._late:
            self._next = max(self._next, now + count * self._interval)

    def wait(self, now: float) -> float:
        """Seconds until the next is due, a tick at least."""
        return max(self._next - now, TICK)
