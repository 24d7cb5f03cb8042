"""The reading side of the echo guard: find the changes of a poll that our own writes made."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from worker.changes.detect import Change, ScanContext
from worker.changes.records import record_key
from worker.config.routes import Subscriber
from worker.core.ports import Clock
from worker.flows.echoes.footprints import ObservedRow, is_echo, is_own_deletion, microseconds, stamp_of
from worker.metrics import Metrics
from worker.state.record_index import RecordIndex
from worker.state.write_notices import WriteNotices

logger = structlog.get_logger()
CATCH_UP = 5.0  # seconds until the stream of write notices is read; after that every change is published
WAIT_FOR_WRITES = 3.0  # seconds of a turn that it waits for writes in flight


class EchoFilter:
    """Filters the changes of one subscriber in one turn."""

    def __init__(self, route: Subscriber, notices: WriteNotices, clock: Clock, metrics: Metrics) -> None:
        self._route = route
        self._notices = notices
        self._clock = clock
        self._metrics = metrics
        self._wait = WAIT_FOR_WRITES
        self._unreadable = False

    def trace(self, row: dict[str, object]) -> str:
        """Return the update stamp, which the subscriber remembers of a row that it has dealt with; empty where there is none."""
        stamp = stamp_of(row)
        return "" if stamp is None else str(stamp)

    async def echoes(self, changes: Sequence[Change], known: RecordIndex, context: ScanContext) -> list[Change]:
        """Return the changes that are echoes of our own writes. Read the rows from Halo before this call: a write is announced before it is sent."""
        if not changes or context.republish_since is not None or self._unreadable:
            return []
        changes = [change for change in changes if (known.traces.get(change.key) if change.kind == "deleted" else self.trace(change.record))]
        if not changes:
            return []
        if not await self._notices.caught_up(CATCH_UP):
            self._unreadable = True  # one wait is enough for a turn
            return []
        await self._wait_for_writes(changes, known)
        settled = microseconds(context.since or context.cursor)
        own = [change for change in changes if self._is_own(change, known, settled)]
        for change in own:
            self._metrics.echoes.labels(self._route.name).inc()
            logger.info("event.echo", record=change.key, change=change.kind)
        return own

    def _is_own(self, change: Change, known: RecordIndex, settled: int | None) -> bool:
        key = self._key(change)
        footprints = self._notices.footprints(self._route.client, self._route.operation.id_space, key) if key is not None else []
        trace = known.traces.get(change.key, "")
        dealt_with = int(trace) if trace.isdecimal() else None
        row = ObservedRow(stamp_of(change.record), change.key in known.hashes, dealt_with, settled, self._route.ignore)
        return is_own_deletion(row, footprints) if change.kind == "deleted" else is_echo(row, footprints)

    def _key(self, change: Change) -> str | None:
        """Return the key by which Halo identifies the record, also where the route has another key."""
        return record_key(change.record, self._route.operation.key)

    async def _wait_for_writes(self, changes: Sequence[Change], known: RecordIndex) -> None:
        began = self._clock.monotonic()
        keys = [key for change in changes if (key := self._key(change)) is not None]
        new = any(change.key not in known.hashes for change in changes)
        await self._notices.wait_until_ended(self._route.client, self._route.operation.id_space, keys, creates=new, within=self._wait)
        self._wait = max(self._wait - (self._clock.monotonic() - began), 0.0)
