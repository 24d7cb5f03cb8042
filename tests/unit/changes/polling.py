"""The real poll loop over a simulated list: turns, batons as bytes, and what was emitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.tools.evaluating import InProcess
from tests.unit.changes.simulated import OPERATION, SimulatedHalo
from worker.changes.detect import Change
from worker.config.routes import Subscriber
from worker.flows.polling.emit import ScanTally
from worker.flows.polling.poll import Poller
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex

LONG_AGO = timedelta(days=400)


def tickets(**fields: Any) -> Subscriber:
    return Subscriber("tickets", "main", OPERATION, **({"changes": "by_date", "start": "beginning"} | fields))


class Emitted:
    """Takes changes as confirmed, in order."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def emit(self, changes: Sequence[Change], position: str, tally: ScanTally) -> None:
        self.changes.extend(changes)


@dataclass
class Clock:
    """The worker's clock follows the simulation's."""

    halo: SimulatedHalo

    def now(self) -> float:
        return self.halo.now.timestamp()

    def monotonic(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        self.halo.wait(seconds)


@dataclass
class Polling:
    """One subscriber's life; `pause` ends turns."""

    halo: SimulatedHalo
    route: Subscriber
    pause: Callable[[], bool] = lambda: False
    baton: Baton = field(default_factory=Baton)
    known: RecordIndex = field(default_factory=RecordIndex)
    emitted: Emitted = field(default_factory=Emitted)
    results: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    async def poll(self) -> str:
        """One poll, in as many turns as it takes; its result."""
        clock = Clock(self.halo)
        poller = Poller(self.route, self.halo, self.emitted, InProcess(), clock, Metrics())
        report = poller._report
        poller._report = lambda result, turn, reason: (self.results.append(result), self.reasons.append(reason), report(result, turn, reason))
        while True:
            result = await poller.take_turn(self.baton, self.known, self.pause)
            self.baton = Baton.decode(self.baton.advanced(**result.changes).encode())
            if result.ended:
                self.known.seen.clear()
                return self.results[-1]

    def news(self) -> list[tuple[str, str]]:
        """What was emitted since the last call, as (kind, key)."""
        found = [(change.kind, change.key) for change in self.emitted.changes]
        self.emitted.changes.clear()
        return found

    def told(self) -> dict[int, str]:
        """The last content that was emitted of each record."""
        return {int(change.key): change.record.get("summary", "gone") for change in self.emitted.changes}

    def untold(self) -> dict[int, str]:
        """Rows whose present content was never the last one emitted."""
        told = self.told()
        return {row.id: f"v{row.version}" for row in self.halo.rows.values() if told.get(row.id) != f"v{row.version}"}
