"""Takes one turn of one subscriber: reads pages, detects changes, publishes them and computes the next baton."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_request
from worker.changes.detect import Change, ScanContext, classify_change
from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.position import Position
from worker.changes.records import content_hash
from worker.changes.scan import Scan, Seen, Step
from worker.config.routes import Subscriber
from worker.core.errors import EvaluatorUnavailable, ExpressionError, WorkerError
from worker.core.exchange import Exchange, Fate, Request
from worker.core.ports import Clock, Evaluator, Reader
from worker.flows.echoes.filter import EchoFilter
from worker.flows.polling.details import PATIENCE, DetailsFailed, DetailsStopped, Unfetched, fetch_all
from worker.flows.polling.emit import EmitStopped, Emitter
from worker.flows.polling.events import deletion
from worker.flows.polling.plan import after_scan, planned, resumed, suspended
from worker.flows.polling.turn import Turn, TurnResult
from worker.flows.requests import subscriber_request
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.record_index import MAX_KNOWN, RecordIndex

logger = structlog.get_logger()
HELD_PAGES = 10  # pages that are read before the first of them is published: if the key turns out to be wrong on one of them, nothing is published
HELD_WITH_DETAILS = 2  # a turn that ends fetches the details of what is held, up to 100 requests for each page


class TooManyRecords(WorkerError):
    """The list has more records than a subscriber can track."""


class Poller:
    """Takes turns of one subscriber through one broker attachment."""

    def __init__(
        self, route: Subscriber, reader: Reader, emitter: Emitter, evaluator: Evaluator, clock: Clock, metrics: Metrics, echoes: EchoFilter | None = None
    ) -> None:
        self._route = route
        self._reader = reader
        self._emitter = emitter
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._echoes = echoes

    async def take_turn(self, baton: Baton, known: RecordIndex, pause: Callable[[], bool]) -> TurnResult:
        """Scan until the end or until `pause()` returns true. Updates `known` as the broker confirms events. Raises `BrokerError` when the broker is lost."""
        plan, position = resumed(baton.scan) if baton.scan else (planned(self._route, baton, self._clock.now()), Position())
        if baton.scan is None:
            known.seen.clear()
        turn = Turn(baton, known, plan, position)
        with structlog.contextvars.bound_contextvars(route=self._route.name, poll=turn.poll):
            try:
                await self._scan(turn, await subscriber_request(self._route, self._evaluator), pause)
            except DetailsStopped:
                turn.interrupted = True
            except (DetailsFailed, EmitStopped, EvaluatorUnavailable, ExpressionError, RequestError, TooManyRecords) as error:
                turn.error, turn.stopped = str(error), isinstance(error, EmitStopped)
            result = self._result(turn)
            return replace(result, unroutable=turn.stopped or "unrouted" in turn.tally.counts)

    async def _scan(self, turn: Turn, parameters: dict[str, dict[str, Any]], pause: Callable[[], bool]) -> None:
        listing = self._route.operation.listing
        request = build_request(self._route.operation, parameters["path"], parameters["query"])
        reader = PageReader(self._reader, request, listing, self._read_logger(turn, request))
        ordered = listing is not None and listing.ordered and not {"order", "orderdesc"} & {name.lower() for name in parameters["query"]}
        scan = Scan(reader, self._route.key, turn.plan.window(self._route), ordered=ordered, pause=pause, ignore=self._route.ignore)
        context = turn.plan.context(self._route, turn.baton)
        held: deque[Step] = deque()
        async for step in scan.steps(turn.position, Seen(keys=turn.known.seen)):
            if step.failure is not None:
                if is_stopping(step.failure):
                    break  # the next turn reads this page
                turn.error = step.failure.reason
            turn.position, turn.ambiguous = step.position, step.ambiguous
            held.append(step)
            if len(held) > (HELD_PAGES if self._route.details is None else HELD_WITH_DETAILS):
                await self._process_page(turn, held.popleft(), context, parameters["query"])
        if turn.ambiguous:
            turn.error = turn.position.reason
            return
        for step in held:
            await self._process_page(turn, step, context, parameters["query"])
        whole = turn.plan.full and turn.position.until is None  # a closed window leaves out the newest rows
        if turn.position.state == "complete" and whole and self._route.changes != "all":
            await self._handle_missing(turn)

    def _read_logger(self, turn: Turn, request: Request) -> Callable[[int, Page | PageFailed, Exchange], None]:
        def read(number: int, page: Page | PageFailed, exchange: Exchange) -> None:
            turn.tally.pages += 1
            self._metrics.pages.labels(self._route.name).inc()
            rows = len(page.rows) if isinstance(page, Page) else None
            count = page.count if isinstance(page, Page) else None
            logger.info("page.read", path=request.path, page=number, rows=rows, count=count, status=exchange.status, ms=round(exchange.duration * 1000))

        return read

    async def _process_page(self, turn: Turn, step: Step, context: ScanContext, query: dict[str, Any]) -> None:
        """Publish the changes of this page, then store them as known."""
        turn.tally.rows += len(step.rows)
        turn.known.meet(step.keys)
        changes = self._changes(turn, step, context)
        changes = await self._without_echoes(turn, changes, context)
        if self._route.details is None or not changes:
            await self._publish(turn, changes)
            return
        found = await fetch_all(self._reader, self._route.details, changes, query, before=turn.fetched)
        turn.fetched += len(found.fetched)
        await self._publish(turn, found.fetched)
        if found.gave_up:
            raise DetailsFailed(found.gave_up)
        await self._park_unfetched(turn, found.unfetched)

    async def _park_unfetched(self, turn: Turn, unfetched: Sequence[Unfetched]) -> None:
        """Park what Halo refuses, and what it has failed to answer poll after poll. Any other record fails this poll, so that the next one asks again."""
        for each in unfetched:
            if not each.lasting and turn.baton.failures < PATIENCE:
                turn.error = f"record {each.change.key}: {each.reason}"
                continue
            await self._emitter.park(each.change, each.reason, turn.tally, each.dead_class, each.status)
            self._remember(turn.known, [each.change], parked=True)

    def _changes(self, turn: Turn, step: Step, context: ScanContext) -> list[Change]:
        """Return the changes of this page. Nearly every row is unchanged, so unchanged rows take the shortest path."""
        known, traced, ignore = turn.known.hashes, turn.known.traces if self._echoes is not None else None, self._route.ignore
        compares = self._route.changes != "all" and context.again is None
        found = []
        for key, row in zip(step.keys, step.rows, strict=True):
            if key is None:
                continue
            digest = content_hash(row, ignore)
            if compares and known.get(key) == digest and (traced is None or key in traced):
                continue
            if (change := self._change(turn, key, digest, row, step.fresh, context)) is not None:
                found.append(change)
        return found

    def _change(self, turn: Turn, key: str, digest: str, row: dict[str, Any], fresh: frozenset[str], context: ScanContext) -> Change | None:
        if self._route.changes == "all":  # known are only records that are parked as they are
            return Change("updated", key, row, None, digest) if key in fresh and turn.known.get(key) != digest else None
        previous = turn.known.get(key)
        again = context.again is not None and key in fresh
        verdict = classify_change(row, previous, digest, context if again else replace(context, again=None))
        trace = self._echoes.trace(row) if self._echoes is not None and (verdict is not None or key not in turn.known.traces) else ""
        if verdict is None:
            if trace:
                turn.known.put(key, digest, trace)
            return None
        if previous is None and len(turn.known.hashes) >= MAX_KNOWN:
            raise TooManyRecords(f"more than {MAX_KNOWN:,} records: narrow the query, or split the route")
        if verdict == "baseline":
            turn.known.put(key, digest, trace)
            turn.tally.add("baseline")
            return None
        base = turn.dedupe_base(key, previous, digest)
        if again:
            base = f"{turn.baton.epoch}/{base or 'new'}"  # the repeated event needs a dedupe key of its own
        return Change(verdict, key, row, base, digest, trace)

    async def _without_echoes(self, turn: Turn, changes: list[Change], context: ScanContext) -> list[Change]:
        """Store the changes that our own writes made as known; return the others."""
        own = await self._echoes.own(changes, turn.known, context) if self._echoes is not None else []
        if not own:
            return changes
        for _ in own:
            turn.tally.add("echoes")
        self._remember(turn.known, own)
        dealt_with = {id(change) for change in own}
        return [change for change in changes if id(change) not in dealt_with]

    async def _publish(self, turn: Turn, changes: list[Change]) -> None:
        if not changes:
            return
        try:
            await self._emitter.emit(changes, f"{turn.baton.epoch}.{turn.baton.polls}", turn.tally)
        except EmitStopped as stop:
            self._remember(turn.known, stop.settled)
            raise
        self._remember(turn.known, changes)

    def _remember(self, known: RecordIndex, changes: list[Change], *, parked: bool = False) -> None:
        if self._route.changes == "all" and not parked:
            return
        for change in changes:
            if change.digest is None:
                known.forget([change.key])
            else:
                known.put(change.key, change.digest, change.trace)

    async def _handle_missing(self, turn: Turn) -> None:
        """Handle records that the complete scan did not read. After two such scans in a row a record is deleted."""
        absent = turn.known.hashes.keys() - turn.known.seen
        gone = sorted(absent & turn.known.missing)
        if self._route.deletes:
            deletions = [deletion(self._route, key, turn.known.hashes[key]) for key in gone]
            await self._publish(turn, await self._without_echoes(turn, deletions, ScanContext()))
        turn.known.forget(gone)
        turn.known.miss(absent.difference(gone))

    def _result(self, turn: Turn) -> TurnResult:
        now, state = self._clock.now(), turn.position.state
        if turn.ambiguous:
            self._metrics.ambiguous_keys.labels(self._route.name, " ".join(self._route.key)).inc()
            self._report("incomplete", turn, turn.error)
            return TurnResult({"scan": None, "polled": now}, None, ended=True, error=turn.error, ambiguous=True)
        if turn.error:
            self._report("failed", turn, turn.error)
            return TurnResult({"scan": None, "polled": now}, None, ended=True, error=turn.error)
        if turn.interrupted:  # pages were read and not processed: the next turn reads again what this one has read
            return TurnResult({}, None, ended=False, error="")
        if not turn.position.ended:
            logger.info("poll.continues", pages=turn.tally.pages, page=turn.position.page)
            return TurnResult({"scan": suspended(turn.plan, turn.position)}, turn.known.seen, ended=False, error="")
        self._report(state, turn, turn.position.reason)
        reason = turn.position.reason if state == "incomplete" else ""
        return TurnResult(after_scan(self._route, turn.baton, turn.plan, turn.position, now), None, ended=True, error="", incomplete=reason)

    def _report(self, result: str, turn: Turn, reason: str) -> None:
        self._metrics.polls.labels(self._route.name, result).inc()
        self._metrics.known.labels(self._route.name).set(len(turn.known.hashes))
        scope = "list" if turn.plan.full else "window"
        fields = {"result": result, "scope": scope, "rows": turn.tally.rows, "pages": turn.tally.pages, **turn.tally.counts}
        if result == "complete":
            self._metrics.polled.labels(self._route.name).set(self._clock.now())
            logger.info("poll.ended", **fields)
        else:
            logger.warning("poll.ended", **fields, reason=reason)


def is_stopping(exchange: Exchange) -> bool:
    """Return whether the client dropped the request because the worker stops."""
    return exchange.fate is Fate.NOT_SENT and not exchange.down
