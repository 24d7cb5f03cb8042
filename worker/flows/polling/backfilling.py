"""Reads the history of a subscriber page by page and publishes it, in short turns between its polls and below all live work in the budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_request
from worker.changes.detect import Change, is_before
from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.position import Position, StampWindow
from worker.changes.records import content_hash, updated_at
from worker.changes.scan import Scan, ScanStep, SeenRows
from worker.config.routes import Subscriber
from worker.core.errors import EvaluatorUnavailable, ExpressionError, WorkerError
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ports import Clock, Evaluator, Reader
from worker.flows.polling.completing import Completer
from worker.flows.polling.details import MAX_FAILED_POLLS, DetailsFailed, DetailsStopped, fetch_all
from worker.flows.polling.emit import EmitStopped, Emitter, ScanTally
from worker.flows.polling.plan import position_document, position_of
from worker.flows.requests import subscriber_request
from worker.metrics import Metrics
from worker.state.backfill import Backfill

logger = structlog.get_logger()
TURN_SECONDS = 5.0  # seconds of one turn
TURN_PAUSE = 0.5  # seconds between two turns, in which an operator's command can see the baton and change it
PAGE_OVERRUN = 2.0  # seconds that a page may still take after the next poll is due, doubled for each turn that was cut off before: details of a page take long
MAX_CUT_TURNS = 6
MAX_PAUSE = 300.0
FAILURES = (DetailsFailed, EmitStopped, EvaluatorUnavailable, ExpressionError, RequestError)


class BackfillFailed(WorkerError):
    """A page could not be read."""


class LowPriority:
    """Implements `Reader`: every request waits until no live work wants its place in the budget."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def send(self, request: Request, *, priority: Priority) -> Exchange:  # noqa: ARG002 - a backfill has one priority
        return await self._reader.send(request, priority=Priority.BACKFILL)


class Backfiller:
    """Takes turns of one subscriber's backfill through one broker attachment."""

    def __init__(self, route: Subscriber, reader: Reader, emitter: Emitter, evaluator: Evaluator, clock: Clock, metrics: Metrics) -> None:
        self._route = route
        self._reader = LowPriority(reader)
        self._emitter = emitter
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics

    async def take_turn(self, backfill: Backfill, poll_due: float, stopping: Callable[[], bool]) -> Backfill:
        """Read and publish for some seconds, and not beyond `poll_due` (seconds since 1970). Raises `BrokerError` when the broker is lost.

        The position moves with each page whose events are confirmed, so that a turn that is cut off anywhere repeats at most its last page.
        """
        began, latest = self._clock.now(), backfill
        until = min(began + TURN_SECONDS, poll_due)
        try:
            async with asyncio.timeout(poll_due - began + PAGE_OVERRUN * 2 ** min(backfill.cut, MAX_CUT_TURNS)):
                async for page in self._pages(backfill, lambda: stopping() or self._clock.now() >= until):
                    latest = replace(page, cut=max(backfill.cut - 1, 0), failures=0)
        except TimeoutError:
            latest = replace(latest, cut=backfill.cut + 1) if latest is backfill else latest
        except DetailsStopped:
            pass
        except (BackfillFailed, *FAILURES) as error:
            latest = replace(latest, failures=latest.failures + 1, reason=str(error))
            logger.warning("backfill.failed", backfill=backfill.id, failures=latest.failures, reason=str(error))
        latest = latest.worked(self._clock.now(), began)
        self._report(latest)
        return latest

    def _report(self, backfill: Backfill) -> None:
        fields = {"backfill": backfill.id, "rows": backfill.rows, "published": backfill.published, "total": backfill.total}
        if backfill.running:
            logger.info("backfill.continues", **fields, left_s=None if backfill.left is None else round(backfill.left))
        else:
            logger.info("backfill.ended", **fields, result=backfill.state, reason=backfill.reason)

    async def _pages(self, backfill: Backfill, pause: Callable[[], bool]) -> AsyncIterator[Backfill]:
        """Yield the backfill after each page. Raises `BackfillFailed` and the errors of publishing."""
        parameters = await subscriber_request(self._route, self._evaluator)
        listing, query = self._route.operation.listing, parameters["query"]
        request = build_request(self._route.operation, parameters["path"], query)
        dated = self._route.changes == "by_date"
        ordered = listing is not None and listing.ordered and not {"order", "orderdesc"} & {name.lower() for name in query}
        position = Position(until=backfill.until if dated else None) if backfill.position is None else position_of(backfill.position)
        window = StampWindow(backfill.since, timedelta()) if dated else None
        reader = PageReader(self._reader, request, listing, self._log_page)
        scan = Scan(reader, self._route.key, window, ordered=ordered, pause=pause, ignore=self._route.ignore)
        async for step in scan.steps(position, SeenRows()):
            if step.failure is not None:
                if step.failure.result is RequestResult.NOT_SENT and not step.failure.down:
                    return  # the worker stops, and the next turn reads this page
                raise BackfillFailed(step.failure.reason)
            ahead = step.position.state == "forwards"  # after a full last page the scan looks for more, and then reads this page again
            if (position.state == "backwards" and not ahead) or step.position.ended:  # pages that are read ahead, to learn how many there are, are read again
                backfill = await self._published(backfill, step, query)
            position = step.position
            backfill = moved(backfill, step)
            yield backfill

    def _log_page(self, number: int, page: Page | PageFailed, exchange: Exchange) -> None:
        self._metrics.pages.labels(self._route.name).inc()
        rows = len(page.rows) if isinstance(page, Page) else None
        logger.debug("page.read", page=number, rows=rows, status=exchange.status, ms=round(exchange.duration * 1000))

    async def _published(self, backfill: Backfill, step: ScanStep, query: Mapping[str, Any]) -> Backfill:
        changes, tally = list(self._changes(backfill, step)), ScanTally()
        if Completer.needed(self._route) and changes:
            changes = await self._fetched(backfill, changes, query, tally)
        await self._emitter.emit(changes, mark(backfill), tally)
        return replace(backfill, rows=backfill.rows + len(step.rows), published=backfill.published + tally.counts.get("backfilled", 0))

    def _changes(self, backfill: Backfill, step: ScanStep) -> Sequence[Change]:
        """Return the changes for records that were updated since `backfill.since`. A record without a stamp counts as updated."""
        rows = [(key, row) for key, row in zip(step.keys, step.rows, strict=True) if key is not None and not older(row, backfill.since)]
        return [Change("backfilled", key, row, mark(backfill), content_hash(row, self._route.ignore)) for key, row in rows]

    async def _fetched(self, backfill: Backfill, changes: Sequence[Change], query: Mapping[str, Any], tally: ScanTally) -> list[Change]:
        """Fetch the whole records, as a poll does. Raises `DetailsFailed`, `DetailsStopped`."""
        completer = Completer(self._route, self._reader, self._evaluator, query)
        found = await fetch_all(completer.complete, changes, before=backfill.published)
        if found.gave_up:
            raise DetailsFailed(found.gave_up)
        passing = [each for each in found.unfetched if not each.lasting and backfill.failures < MAX_FAILED_POLLS]
        if passing:
            raise DetailsFailed(f"record {passing[0].change.key}: {passing[0].reason}")
        for each in found.unfetched:
            await self._emitter.park(each.change, each.reason, tally, each.dead_class, each.status)
        return found.fetched


def older(row: Mapping[str, Any], since: datetime) -> bool:
    return is_before(updated_at(row), since)


def mark(backfill: Backfill) -> str:
    """Return the text that replaces the earlier content in the dedupe key, so that a page that is read twice has the same keys."""
    return f"backfill/{backfill.id}"


def moved(backfill: Backfill, step: ScanStep) -> Backfill:
    """Return the backfill after this page."""
    position = step.position
    states = {"complete": "done", "incomplete": "incomplete"}
    return replace(
        backfill,
        state=states.get(position.state, "running"),  # type: ignore[arg-type]  # of these names only
        position=position_document(position) if not position.ended else None,
        done=position.met if position.state == "backwards" else 0,
        total=(position.count or None) if position.state == "backwards" else None,
        reason=position.reason,
    )


def pause_after(backfill: Backfill) -> float:
    """Seconds until its next turn."""
    return min(MAX_PAUSE, 5.0 * 2**backfill.failures) if backfill.failures else TURN_PAUSE
