"""`for_each`: reads the children of each parent that has changed, and compares them by content.

The known records of the route hold its children and, under keys of their own, the content of each parent whose children were read. A parent is stored only
after its children are published. So a poll that ends in the middle goes on with the parents that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_request
from worker.changes.detect import Change, ScanContext, is_before
from worker.changes.mass_loss import held_reason, too_many
from worker.changes.pages import NOT_FOUND, OnPage
from worker.changes.records import content_hash, updated_at
from worker.changes.scan import ScanStep
from worker.config.routes import Subscriber
from worker.core.errors import ExpressionError
from worker.core.exchange import Request
from worker.core.outcome import DeadClass
from worker.core.ports import Evaluator, Reader
from worker.flows.polling.details import MAX_FAILED_POLLS, DetailsFailed, DetailsStopped, Fetch, Unfetched, gave_up, unfetched
from worker.flows.polling.emit import Emitter
from worker.flows.polling.lists import WholeList, read_list
from worker.flows.polling.processing import Parent, RowProcessor
from worker.flows.polling.turn import Turn
from worker.flows.requests import evaluated_request

PREFIX = "\x1d"  # begins the known key of a parent, which no record of Halo's begins with
UNREAD = "?"  # begins the content of a parent that the first scan of `start: now` has stored without reading its children
READ_AGAIN_PREFIX = "~"  # begins the content of a parent that is read again although it has not changed: one of its children was missing


class AmbiguousChildren(DetailsFailed):
    """The key does not identify the children."""


class ParentProcessor:
    """Processes pages of parents in one turn. `reader` reads the children; `complete` fetches the data that a child's row lacks."""

    def __init__(
        self,
        route: Subscriber,
        reader: Reader,
        rows: RowProcessor,
        emitter: Emitter,
        evaluator: Evaluator,
        *,
        pause: Callable[[], bool],
        on_page: Callable[[Request], OnPage],
        complete: Fetch | None,
    ) -> None:
        self._route = route
        self._reader = reader
        self._rows = rows
        self._emitter = emitter
        self._evaluator = evaluator
        self._pause = pause
        self._on_page = on_page
        self._complete = complete
        self.left: frozenset[str] = frozenset()
        """The parents of the page that are not processed."""
        self._failed: list[Unfetched] = []
        self._read = 0

    async def process(self, turn: Turn, step: ScanStep, context: ScanContext) -> None:
        """Read the children of the changed parents of this page. Raises `DetailsStopped` when the turn must end before the last one, and `DetailsFailed`."""
        for number, (key, record) in enumerate(zip(step.keys, step.rows, strict=True)):
            self.left = frozenset(filter(None, step.keys[number:]))
            if key is None:
                continue
            turn.known.mark_seen([PREFIX + key])
            digest = content_hash(record)
            if not self._has_changed(turn, Parent(key, record), digest, context, fresh=key in step.fresh):
                continue
            if context.baseline and self._route.changes == "by_date":
                turn.known.put(PREFIX + key, UNREAD + digest)
                turn.tally.add("baseline")
                continue
            if self._read and self._pause():
                raise DetailsStopped("the turn ends")
            self._read += 1
            await self._children(turn, Parent(key, record), digest, context)

    def _has_changed(self, turn: Turn, parent: Parent, digest: str, context: ScanContext, *, fresh: bool) -> bool:
        """Whether the parent has changed since its children were read."""
        if context.republish_since is not None and fresh and not is_before(updated_at(parent.record or {}), context.republish_since):
            return True
        return turn.known.get(PREFIX + parent.key) not in {digest, UNREAD + digest}

    async def _children(self, turn: Turn, parent: Parent, digest: str, context: ScanContext) -> None:
        change = Change("updated", parent.key, parent.record or {}, None, digest)
        found = await self._read_children(change)
        if isinstance(found, Unfetched):
            await self._handle_unread(turn, found)
            return
        if found is None:  # the parent is deleted; the next complete scan of the parents decides about its children
            turn.tally.add("gone_parents")
            return
        error, turn.error = turn.error, ""
        children = ScanStep(list(found.rows.values()), list(found.rows), frozenset(found.rows), turn.position)
        await self._rows.process(turn, children, self._context(turn, parent.key, context), self._complete, parent)
        if turn.error:
            return  # a child is not published yet
        turn.error = error
        turn.tally.add("parents")
        absent = self._absent(turn, parent.key, found) if self._route.deletes else False
        turn.known.put(PREFIX + parent.key, (READ_AGAIN_PREFIX if absent else "") + digest)

    def _absent(self, turn: Turn, parent: str, found: WholeList) -> bool:
        """Note which known children this read did not meet, and return whether there are any. A second read in a row shows that they are deleted."""
        known = turn.known.children.get(parent, set())
        absent = known - found.rows.keys()
        gone = absent & turn.known.missing
        turn.compared += len(known)
        turn.gone += sorted(gone)
        turn.known.miss(absent - gone)
        return bool(absent)

    def _context(self, turn: Turn, parent: str, context: ScanContext) -> ScanContext:
        """Return the context that says which children are new.

        The children of a parent that is read for the first time may be older than the start of the route.
        """
        content = turn.known.get(PREFIX + parent)
        first = content is None or content.startswith(UNREAD)
        newer = context.since or context.cursor
        if first and newer is not None and self._route.start != "beginning":
            begun = turn.known.get(PREFIX)
            newer = max(newer, datetime.fromisoformat(begun)) if begun else newer
            return ScanContext(newer_than=newer, republish_since=context.republish_since)
        return ScanContext(context.baseline, republish_since=context.republish_since)

    async def _read_children(self, change: Change) -> WholeList | Unfetched | None:
        """Return the children, why they cannot be read, or None where Halo has no such parent. Raises `DetailsStopped`."""
        what = "its children"
        bindings = {"route": self._route.name, "client": self._route.client, "parent": change.record}
        try:
            parameters = await evaluated_request(self._route.request, {}, bindings, self._evaluator)
            request = build_request(self._route.operation, parameters["path"], parameters["query"])
        except (ExpressionError, RequestError) as error:
            return Unfetched(change, DeadClass.TRANSFORM, f"{what} cannot be asked for: {error}")
        found = await read_list(self._reader, self._route.operation, request, self._route.key, on_page=self._on_page(request), ignore=self._route.ignore)
        if found.ambiguous:
            raise AmbiguousChildren(found.reason)
        if found.failure is not None:
            return None if found.failure.status == NOT_FOUND else unfetched(change, found.failure, what)
        return Unfetched(change, DeadClass.RETRIES_EXHAUSTED, f"{what}: {found.reason}", lasting=False) if found.reason else found

    async def _handle_unread(self, turn: Turn, each: Unfetched) -> None:
        """Park a parent whose children Halo refuses, or fails to answer poll after poll. Any other one fails this poll, so that the next one asks again."""
        self._failed.append(each)
        if reason := gave_up(self._failed, succeeded=self._read > len(self._failed)):
            raise DetailsFailed(reason)
        if not each.lasting and turn.baton.failures < MAX_FAILED_POLLS:
            turn.error = f"parent {each.change.key}: {each.reason}"
            return
        await self._emitter.park_parent(each.change, each.reason, turn.tally, each.dead_class, each.status)
        turn.known.put(PREFIX + each.change.key, str(each.change.digest))

    def record_start(self, turn: Turn) -> None:
        """Store when the route began: an older child is not published when its parent is read for the first time."""
        if turn.plan.baseline and (reached := turn.position.reached or turn.plan.since) is not None:
            turn.known.put(PREFIX, reached.isoformat())

    async def handle_missing(self, turn: Turn, *, complete: bool) -> None:
        """Publish the deletions of children. `complete`: the scan has read every parent. A parent that two such scans in a row did not meet is deleted."""
        gone = turn.gone
        if gone and too_many(len(gone), turn.compared, self._route.deletes_limit):
            turn.held, gone = held_reason(len(gone), turn.compared, self._route.deletes_limit), []
        parents = self._missing_parents(turn) if complete else []
        turn.held = "" if complete and turn.held is None else turn.held
        orphans = [child for parent in parents for child in sorted(turn.known.children.get(parent, ()))]
        if self._route.deletes:
            await self._rows.publish_deletions(turn, [*gone, *orphans])
        turn.known.forget([*orphans, *(PREFIX + parent for parent in parents)] if not self._route.deletes else [PREFIX + parent for parent in parents])

    def _missing_parents(self, turn: Turn) -> list[str]:
        """Return the parents that are deleted; none while the list seems to hide parents."""
        known = {key.removeprefix(PREFIX) for key in turn.known.hashes if key.startswith(PREFIX) and key != PREFIX}
        absent = known - turn.known.seen
        if too_many(len(absent), len(known), self._route.deletes_limit):
            turn.held = held_reason(len(absent), len(known), self._route.deletes_limit) if self._route.deletes else turn.held
            return []
        gone = sorted(parent for parent in absent if PREFIX + parent in turn.known.missing)
        turn.known.miss(PREFIX + parent for parent in absent.difference(gone))
        return gone
