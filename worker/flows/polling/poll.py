"""Takes one turn of one subscriber: reads pages, detects changes, publishes them and computes the next baton."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from worker.catalogue.errors import RequestError
from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.mass_loss import held_reason, too_many
from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.position import Position
from worker.changes.scan import Scan, ScanStep, SeenRows
from worker.config.compiled import Parents
from worker.config.routes import Subscriber
from worker.core.errors import EvaluatorUnavailable, ExpressionError
from worker.core.exchange import Exchange, RequestResult
from worker.core.ports import Clock, Evaluator, Reader
from worker.flows.echoes.filter import EchoFilter
from worker.flows.polling.answer_cache import AnswerCache, CachingReader
from worker.flows.polling.completing import Completer
from worker.flows.polling.details import DetailsFailed, DetailsStopped
from worker.flows.polling.emit import EmitStopped, Emitter
from worker.flows.polling.parents import AmbiguousChildren, ParentProcessor
from worker.flows.polling.plan import after_scan, plan_scan, resume_scan, suspend_scan
from worker.flows.polling.processing import TOMBSTONE, RowProcessor, TooManyRecords
from worker.flows.polling.report_scan import PATH, ReportScan
from worker.flows.polling.turn import Turn, TurnResult
from worker.flows.requests import evaluated_request, subscriber_request
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex

logger = structlog.get_logger()
HELD_PAGES = 10  # pages that are read before the first of them is published: if the key turns out to be wrong on one of them, nothing is published
HELD_WITH_DETAILS = 2  # a turn that ends fetches the details of what is held, up to 100 requests for each page
HELD_ANSWERS = 1  # of a report, up to 50,000 rows each


class Poller:
    """Takes turns of one subscriber through one broker attachment. `shared`: reads parents for several routes at once."""

    def __init__(
        self,
        route: Subscriber,
        reader: Reader,
        emitter: Emitter,
        evaluator: Evaluator,
        clock: Clock,
        metrics: Metrics,
        echoes: EchoFilter | None = None,
        shared: AnswerCache | None = None,
    ) -> None:
        self._route = route
        self._reader = reader
        self._emitter = emitter
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._shared = shared or AnswerCache(clock.monotonic)
        self._rows = RowProcessor(route, emitter, echoes)

    async def take_turn(self, baton: Baton, known: RecordIndex, pause: Callable[[], bool]) -> TurnResult:
        """Scan until the end or until `pause()` returns true. Updates `known` as the broker confirms events. Raises `BrokerError` when the broker is lost."""
        plan, position = resume_scan(baton.scan) if baton.scan else (plan_scan(self._route, baton, self._clock.now()), Position())
        if baton.scan is None:
            known.seen.clear()
        turn = Turn(baton, known, plan, position)
        with structlog.contextvars.bound_contextvars(route=self._route.name, poll=turn.poll):
            try:
                await (self._scan(turn, pause) if self._route.for_each is None else self._scan_parents(turn, self._route.for_each, pause))
            except DetailsStopped:
                turn.interrupted = True
            except AmbiguousChildren as error:
                turn.error, turn.ambiguous = str(error), True
            except (DetailsFailed, EmitStopped, EvaluatorUnavailable, ExpressionError, RequestError, TooManyRecords) as error:
                turn.error, turn.stopped = str(error), isinstance(error, EmitStopped)
            result = self._result(turn)
            return replace(result, unroutable=turn.stopped or "unrouted" in turn.tally.counts, held=turn.held)

    async def _scan(self, turn: Turn, pause: Callable[[], bool]) -> None:
        parameters = await subscriber_request(self._route, self._evaluator)
        completer = Completer(self._route, self._reader, self._evaluator, parameters["query"])
        complete = completer.complete if Completer.needed(self._route) else None
        context = turn.plan.context(self._route, turn.baton)
        held: deque[ScanStep] = deque()
        async for step in self._steps(turn, parameters, pause):
            if step.failure is not None:
                if is_stopping(step.failure):
                    break  # the next turn reads this page
                turn.error = step.failure.reason
            turn.position, turn.ambiguous = step.position, step.ambiguous
            held.append(step)
            if len(held) > held_steps(self._route):
                await self._rows.process(turn, held.popleft(), context, complete)
        if turn.ambiguous:
            turn.error = turn.position.reason
            return
        for step in held:
            await self._rows.process(turn, step, context, complete)
        whole = turn.plan.full and turn.position.until is None  # a closed window leaves out the newest rows
        if turn.position.state == "complete" and whole and self._route.changes != "all":
            await self._handle_missing(turn)

    def _steps(self, turn: Turn, parameters: dict[str, dict[str, Any]], pause: Callable[[], bool]) -> AsyncIterator[ScanStep]:
        """The answers of a report, or the pages of a list."""
        seen, route = SeenRows(keys=turn.known.seen), self._route
        if route.report is not None:
            on_page = self._read_logger(turn, PATH)
            return ReportScan(self._reader, route.report, route.key, turn.plan.since, on_page, ignore=route.ignore).steps(turn.position, seen)
        request = build_request(route.operation, parameters["path"], parameters["query"])
        reader = PageReader(self._reader, request, route.operation.listing, self._read_logger(turn, request.path))
        ordered = takes_order(route.operation, parameters["query"])
        return Scan(reader, route.key, turn.plan.window(route), ordered=ordered, pause=pause, ignore=route.ignore).steps(turn.position, seen)

    async def _scan_parents(self, turn: Turn, parents: Parents, pause: Callable[[], bool]) -> None:
        """Process each page of parents before the next one is read: its children cost up to 100 requests."""
        bindings = {"route": self._route.name, "client": self._route.client}
        parameters = await evaluated_request(parents.request, {}, bindings, self._evaluator)
        request = build_request(parents.operation, parameters["path"], parameters["query"])
        sharing = CachingReader(self._route.name, self._route.client, self._reader, self._shared, begun=turn.baton.scan is not None)
        reader = PageReader(sharing, request, parents.operation.listing, self._read_logger(turn, request.path))
        scan = Scan(reader, parents.key, turn.plan.window(self._route), ordered=takes_order(parents.operation, parameters["query"]), pause=pause)
        children = self._parent_processor(turn, pause)
        context = turn.plan.context(self._route, turn.baton)
        async for step in scan.steps(turn.position, SeenRows(keys=turn.known.seen)):
            if step.failure is not None:
                if is_stopping(step.failure):
                    break
                turn.error = step.failure.reason
            if step.ambiguous:
                turn.error, turn.ambiguous = step.position.reason, True
                return
            try:
                await children.process(turn, step, context)
            except DetailsStopped:  # the next turn reads this page again, and skips the parents whose children were read
                turn.known.seen.difference_update(step.fresh & children.left)
                turn.paused = True
                break
            turn.position = step.position
        if turn.error:
            return
        complete = turn.position.state == "complete"
        if complete:
            children.record_start(turn)
        await children.handle_missing(turn, complete=complete and turn.plan.full and turn.position.until is None)

    def _parent_processor(self, turn: Turn, pause: Callable[[], bool]) -> ParentProcessor:
        completer = Completer(self._route, self._reader, self._evaluator, {})
        return ParentProcessor(
            self._route,
            self._reader,
            self._rows,
            self._emitter,
            self._evaluator,
            pause=pause,
            on_page=lambda request: self._read_logger(turn, request.path),
            complete=completer.complete if Completer.needed(self._route) else None,
        )

    def _read_logger(self, turn: Turn, path: str) -> Callable[[int, Page | PageFailed, Exchange], None]:
        def read(number: int, page: Page | PageFailed, exchange: Exchange) -> None:
            turn.tally.pages += 1
            self._metrics.pages.labels(self._route.name).inc()
            rows = len(page.rows) if isinstance(page, Page) else None
            count = page.count if isinstance(page, Page) else None
            logger.info("page.read", path=path, page=number, rows=rows, count=count, status=exchange.status, ms=round(exchange.duration * 1000))

        return read

    async def _handle_missing(self, turn: Turn) -> None:
        """Handle records that the complete scan did not read. After two such scans in a row a record is deleted; none is while the list seems to hide records."""
        live = {key for key, content in turn.known.hashes.items() if not content.startswith(TOMBSTONE)}
        absent = live - turn.known.seen
        if too_many(len(absent), len(live), self._route.deletes_limit):
            turn.held = held_reason(len(absent), len(live), self._route.deletes_limit) if self._route.deletes else None
            return
        turn.held = ""
        gone = sorted(absent & turn.known.missing)
        if self._route.deletes:
            await self._rows.publish_deletions(turn, gone)
        else:
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
        if turn.paused or not turn.position.ended:
            logger.info("poll.continues", pages=turn.tally.pages, page=turn.position.page)
            return TurnResult({"scan": suspend_scan(turn.plan, turn.position)}, turn.known.seen, ended=False, error="")
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
    return exchange.result is RequestResult.NOT_SENT and not exchange.down


def held_steps(route: Subscriber) -> int:
    """Return how many steps are read before the first of them is published."""
    return HELD_ANSWERS if route.report is not None else HELD_WITH_DETAILS if Completer.needed(route) else HELD_PAGES


def takes_order(operation: Operation, query: Mapping[str, Any]) -> bool:
    """Return whether the scan may order the list by id: Halo can, and the route does not say otherwise."""
    return operation.listing is not None and operation.listing.ordered and not {"order", "orderdesc"} & {name.lower() for name in query}
