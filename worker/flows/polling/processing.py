"""Turns the rows that a scan has read into published events and known records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from worker.changes.detect import Change, ScanContext, classify_change
from worker.changes.records import content_hash
from worker.changes.scan import ScanStep
from worker.config.routes import Subscriber
from worker.core.errors import WorkerError
from worker.flows.echoes.filter import EchoFilter
from worker.flows.polling.details import MAX_FAILED_POLLS, DetailsFailed, Fetch, Unfetched, fetch_all
from worker.flows.polling.emit import EmitStopped, Emitter
from worker.flows.polling.events import deletion
from worker.flows.polling.turn import Turn
from worker.state.record_index import MAX_KNOWN, RecordIndex

TOMBSTONE = "-"  # begins the mark of a deleted record, which is no content hash
PUBLISH_BATCH = 500  # rows that are published together
FORGOTTEN = MAX_KNOWN // 10  # oldest rows of a report by date that make room for new ones


class TooManyRecords(WorkerError):
    """The list has more records than a subscriber can track."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of rows that `for_each` reads. `record` is None for rows without one."""

    key: str = ""
    record: dict[str, Any] | None = None


NO_PARENT = Parent()


@dataclass(frozen=True, slots=True)
class Row:
    """`fresh`: this scan has not met the key before."""

    key: str
    digest: str
    record: dict[str, Any]
    fresh: bool


class RowProcessor:
    """Processes the rows of one subscriber. `complete` fetches the data that rows lack, for routes that want more than the row."""

    def __init__(self, route: Subscriber, emitter: Emitter, echoes: EchoFilter | None) -> None:
        self._route = route
        self._emitter = emitter
        self._echoes = echoes

    async def process(self, turn: Turn, step: ScanStep, context: ScanContext, complete: Fetch | None, parent: Parent = NO_PARENT) -> None:
        """Publish the changes of this step, then store them as known."""
        turn.tally.rows += len(step.rows)
        turn.known.mark_seen(step.keys)
        changes = self._changes(turn, step, context, parent)
        changes = await self._without_echoes(turn, changes, context)
        if step.unfit:
            changes = await self._park_unfit(turn, changes, step)
        for start in range(0, len(changes), PUBLISH_BATCH):
            await self._finish(turn, changes[start : start + PUBLISH_BATCH], complete)

    async def _finish(self, turn: Turn, changes: list[Change], complete: Fetch | None) -> None:
        if complete is None:
            await self.publish(turn, changes)
            return
        found = await fetch_all(complete, changes, before=turn.fetched)
        turn.fetched += len(found.fetched)
        await self.publish(turn, found.fetched)
        if found.gave_up:
            raise DetailsFailed(found.gave_up)
        await self.park_unfetched(turn, found.unfetched)

    async def park_unfetched(self, turn: Turn, unfetched: Sequence[Unfetched]) -> None:
        """Park the records that Halo refuses, and the records that it fails to answer poll after poll.

        Any other record fails this poll, so that the next one asks again.
        """
        for each in unfetched:
            if not each.lasting and turn.baton.failures < MAX_FAILED_POLLS:
                turn.error = f"record {each.change.key}: {each.reason}"
                continue
            await self._emitter.park(each.change, each.reason, turn.tally, each.dead_class, each.status)
            self._remember(turn, [each.change], parked=True)

    async def _park_unfit(self, turn: Turn, changes: Sequence[Change], step: ScanStep) -> list[Change]:
        """Park the rows that cannot become a record; return the others."""
        for change in changes:
            if reason := step.unfit.get(change.key):
                await self._emitter.park(change, reason, turn.tally)
                self._remember(turn, [change], parked=True)
        return [change for change in changes if change.key not in step.unfit]

    def _changes(self, turn: Turn, step: ScanStep, context: ScanContext, parent: Parent) -> list[Change]:
        """Return the changes of this step. Nearly every row is unchanged, so unchanged rows take the shortest path."""
        known, traced, ignore = turn.known.hashes, turn.known.traces if self._echoes is not None else None, self._route.ignore
        compares = self._route.changes != "all" and context.republish_since is None
        found = []
        for key, row in zip(step.keys, step.rows, strict=True):
            if key is None:
                continue
            digest = content_hash(row, ignore)
            if compares and known.get(key) == digest and (traced is None or key in traced):
                continue
            if (change := self._change(turn, Row(key, digest, row, key in step.fresh), context, parent)) is not None:
                found.append(change)
        return found

    def _change(self, turn: Turn, row: Row, context: ScanContext, parent: Parent) -> Change | None:
        key, digest = row.key, row.digest
        if self._route.changes == "all":  # only parked records are known, with the content that was parked
            return Change("updated", key, row.record, None, digest) if row.fresh and turn.known.get(key) != digest else None
        previous = turn.known.get(key)
        again = context.republish_since is not None and row.fresh
        reborn = previous is not None and previous.startswith(TOMBSTONE)
        verdict = "created" if reborn else classify_change(row.record, previous, digest, context if again else replace(context, republish_since=None))
        trace = self._echoes.trace(row.record) if self._echoes is not None and (verdict is not None or key not in turn.known.traces) else ""
        if verdict is None:
            if trace:
                turn.known.put(key, digest, trace)
            return None
        if previous is None:
            self._make_room(turn.known)
        if verdict == "baseline":
            turn.known.put(key, digest, trace, parent.key)
            turn.tally.add("baseline")
            return None
        base = turn.dedupe_base(key, previous, digest)
        if again:
            base = f"{turn.baton.epoch}/{base or 'new'}"  # the repeated event needs a dedupe key of its own
        return Change(verdict, key, row.record, base, digest, trace, parent.record, parent.key)

    def _make_room(self, known: RecordIndex) -> None:
        """A report by date meets only new rows again: the oldest known ones may go. Any other route needs all. Raises `TooManyRecords`."""
        if len(known.hashes) < MAX_KNOWN:
            return
        if self._route.report is None or self._route.changes != "by_date":
            raise TooManyRecords(f"more than {MAX_KNOWN:,} records: narrow the query, or split the route")
        known.forget([key for key in list(known.hashes)[:FORGOTTEN] if key not in known.seen])

    async def _without_echoes(self, turn: Turn, changes: list[Change], context: ScanContext) -> list[Change]:
        """Store the changes that our own writes made as known; return the others."""
        own = await self._echoes.echoes(changes, turn.known, context) if self._echoes is not None else []
        if not own:
            return changes
        for _ in own:
            turn.tally.add("echoes")
        self._remember(turn, own)
        dealt_with = {id(change) for change in own}
        return [change for change in changes if id(change) not in dealt_with]

    async def publish(self, turn: Turn, changes: Sequence[Change]) -> None:
        """Publish the changes, and store the confirmed ones as known. Raises `EmitStopped`."""
        if not changes:
            return
        try:
            await self._emitter.emit(changes, f"{turn.baton.epoch}.{turn.baton.polls}", turn.tally)
        except EmitStopped as stop:
            self._remember(turn, stop.settled)
            raise
        self._remember(turn, changes)

    async def publish_deletions(self, turn: Turn, keys: Sequence[str]) -> None:
        """Publish the deletions of these known records, except the records that the worker deleted itself."""
        poll = f"{turn.baton.epoch}.{turn.baton.polls}"  # a record may be deleted, come back as it was, and be deleted again
        deletions = [deletion(self._route, key, f"{turn.known.hashes[key]}.{poll}") for key in keys]
        await self.publish(turn, await self._without_echoes(turn, deletions, ScanContext()))

    def _remember(self, turn: Turn, changes: Sequence[Change], *, parked: bool = False) -> None:
        """Store the changes as known. A deleted record leaves a mark: if it comes back it is `created`, by a dedupe key that no earlier event had."""
        if self._route.changes == "all" and not parked:
            return
        for change in changes:
            if change.digest is None:
                turn.known.replace(change.key, f"{TOMBSTONE}{turn.baton.epoch}.{turn.baton.polls}")
            else:
                turn.known.put(change.key, change.digest, change.trace, change.owner)
