"""The history of a day: one sample a minute of each route and client, in memory, from the reports of all replicas."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from worker.core.errors import BrokerError
from worker.core.ports import Broker, Clock
from worker.state.reports import ReplicaReport, newest_reports
from worker.web.page.model import UNKNOWN, Series

logger = structlog.get_logger()
MINUTES = 1440
MINUTE = 60.0
MAX_SERIES = 3000  # 5.6 kB each; only series in use may exceed the number, so that changing names cannot fill the memory


@dataclass(slots=True)
class RingBuffer:
    """The last `MINUTES` values, 4 bytes each; `UNKNOWN` for a minute without a sample."""

    last: int
    values: array[float] = field(default_factory=lambda: array("f", [UNKNOWN]) * MINUTES)

    def put(self, minute: int, value: float) -> None:
        for skipped in range(max(self.last + 1, minute - MINUTES + 1), minute):
            self.values[skipped % MINUTES] = UNKNOWN
        self.values[minute % MINUTES] = value
        self.last = minute

    def series(self, minute: int) -> Series:
        """Return the values up to this minute."""
        cut = (minute + 1) % MINUTES
        ordered = [*self.values[cut:], *self.values[:cut]]
        missing = min(MINUTES, max(0, minute - self.last))
        return Series([*ordered[: MINUTES - missing], *[UNKNOWN] * missing], minute)


class History:
    """The samples since this object was made. Minutes without the broker stay `UNKNOWN`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rings: dict[tuple[str, str], RingBuffer] = {}
        self._totals: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._sampled = 0

    async def follow(self, broker: Broker, key: bytes) -> None:
        """Take a sample a minute until the attachment is lost. Raises `BrokerError` then."""
        while True:
            await self._clock.sleep(MINUTE - self._clock.now() % MINUTE)
            try:
                self.add(await newest_reports(broker, self._clock, key), self._clock.now())
            except BrokerError as error:
                if broker.lost:
                    raise
                logger.warning("history.interrupted", reason=str(error))

    def add(self, reports: Sequence[ReplicaReport], now: float) -> None:
        """Add one sample. The rate is `UNKNOWN` after a gap of more than a minute, or if a replica's count a minute ago is unknown."""
        minute = int(now // MINUTE)
        fresh = [report for report in reports if report.fresh(now)]
        for route, count in self._rates(fresh, follows=minute == self._sampled + 1).items():
            self._put("rate", route, minute, count)
        for route, seconds in lags(fresh).items():
            self._put("lag", route, minute, seconds)
        for client, used in used_budgets(fresh).items():
            self._put("budget", client, minute, used)
        self._totals = {report.name: (report.since, {route.name: route.settled for route in report.routes}) for report in fresh}
        self._sampled = minute
        self._drop_unused(minute)

    def of(self, kind: str, name: str) -> Series:
        """Return one series. `kind`: rate, lag or budget."""
        minute = int(self._clock.now() // MINUTE)
        ring = self._rings.get((kind, name))
        return ring.series(minute) if ring is not None else Series([UNKNOWN] * MINUTES, minute)

    def _rates(self, reports: Iterable[ReplicaReport], *, follows: bool) -> dict[str, float]:
        rates: dict[str, float] = {}
        for report in reports:
            since, before = self._totals.get(report.name, (0.0, {}))
            begun = report.since > self._sampled * MINUTE  # its whole count is of this minute
            for route in report.routes:
                if follows and since == report.since and route.name in before:
                    count = float(route.settled - before[route.name])
                else:
                    count = float(route.settled) if follows and begun else UNKNOWN
                rates[route.name] = rates.get(route.name, 0.0) + (count if count >= 0 else UNKNOWN)
        return rates

    def _put(self, kind: str, name: str, minute: int, value: float) -> None:
        ring = self._rings.get((kind, name))
        if ring is None:
            ring = self._rings[kind, name] = RingBuffer(minute)
        ring.put(minute, value)

    def _drop_unused(self, minute: int) -> None:
        """Drop the oldest series that have no sample of this minute, down to `MAX_SERIES`."""
        surplus = len(self._rings) - MAX_SERIES
        if surplus > 0:
            unused = sorted((ring.last, key) for key, ring in self._rings.items() if ring.last < minute)
            for _, key in unused[:surplus]:
                del self._rings[key]


def lags(reports: Iterable[ReplicaReport]) -> dict[str, float]:
    """Return seconds since a subscriber's last complete poll, or since a route last had nothing waiting, by the clock of the replica that reports it."""
    newest: dict[str, tuple[float, float]] = {}
    for report in reports:
        for route in report.routes:
            stamp = route.last_success if route.kind == "subscriber" else route.empty_at
            if stamp and stamp >= newest.get(route.name, (0.0, 0.0))[0]:
                newest[route.name] = (stamp, max(0.0, report.at - stamp))
    return {name: lag for name, (_, lag) in newest.items()}


def used_budgets(reports: Iterable[ReplicaReport]) -> dict[str, float]:
    """Return the used budget of each client over all replicas: each replica counts its own requests."""
    used: dict[str, float] = {}
    for report in reports:
        for client in report.clients:
            used[client.name] = used.get(client.name, 0.0) + client.budget_used
    return used
