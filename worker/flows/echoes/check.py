"""The reading side of the echo guard: of the changes that a poll found, those that our own writes made."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from worker.changes.detect import Change, ScanContext
from worker.changes.fingerprints import Trace, milliseconds
from worker.changes.records import record_key
from worker.config.routes import Subscriber
from worker.core.ports import Clock
from worker.flows.echoes.trails import Met, is_echo, is_own_deletion
from worker.metrics import Metrics
from worker.state.echo_index import Trail
from worker.state.echoes import Echoes
from worker.state.known import Known

logger = structlog.get_logger()
CATCH_UP = 5.0  # seconds for the stream of echoes to be read; after that changes are published, whosever they are
PATIENCE = 3.0  # seconds of a turn for writes under way to tell what they left


class EchoCheck:
    """Checks the changes of one subscriber in one turn."""

    def __init__(self, route: Subscriber, echoes: Echoes, clock: Clock, metrics: Metrics) -> None:
        self._route = route
        self._echoes = echoes
        self._clock = clock
        self._metrics = metrics
        self._patience = PATIENCE
        self._deaf = False

    def trace(self, row: dict[str, object]) -> str:
        """What is to be remembered of a row that is dealt with."""
        return Trace.of(row, self._route.ignore).encode()

    async def own(self, changes: Sequence[Change], known: Known, circumstances: ScanContext) -> list[Change]:
        """Those that are only echoes of our own writes. Rows must have been read from Halo before this is called: what made them was told before it was sent."""
        if not changes or circumstances.again is not None or self._deaf:
            return []
        if not await self._echoes.caught_up(CATCH_UP):
            self._deaf = True  # waiting once is enough for a turn
            return []
        await self._wait_for_writes(changes, known)
        settled = milliseconds(circumstances.since or circumstances.cursor)
        own = [change for change in changes if self._is_own(change, known, settled)]
        for change in own:
            self._metrics.echoes.labels(self._route.name).inc()
            logger.info("event.echo", record=change.key, change=change.kind)
        return own

    def _is_own(self, change: Change, known: Known, settled: int | None) -> bool:
        trails = self._trails(change)
        if not trails:
            return False
        trace = Trace.decode(known.traces.get(change.key)) if change.key in known.hashes else None
        if change.kind == "deleted":
            return is_own_deletion(trace, trails)
        return is_echo(Met(change.record, trace, settled, self._route.ignore), trails)

    def _trails(self, change: Change) -> list[Trail]:
        key = self._key(change)
        return self._echoes.trails(self._route.client, self._route.operation.resource, key) if key is not None else []

    def _key(self, change: Change) -> str | None:
        """By what Halo identifies the record, whatever the route does."""
        return record_key(change.record, self._route.operation.key)

    async def _wait_for_writes(self, changes: Sequence[Change], known: Known) -> None:
        began = self._clock.monotonic()
        keys = [key for change in changes if (key := self._key(change)) is not None]
        new = any(change.key not in known.hashes for change in changes)
        await self._echoes.settled(self._route.client, self._route.operation.resource, keys, creates=new, within=self._patience)
        self._patience = max(self._patience - (self._clock.monotonic() - began), 0.0)
