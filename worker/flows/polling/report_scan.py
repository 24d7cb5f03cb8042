"""Reads a report: rows of Halo's database by SQL. An answer that is cut goes on from its newest row, in the same poll.

The statement orders its rows by the cursor and compares with `>=`. So the rows of the position itself come again: none is lost, and the known records tell
which were published. Halo runs the statement inside another one. TOP therefore decides which rows come, but not always in which order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from worker.changes.cells import moment, typed
from worker.changes.identity import ambiguity, are_ambiguous
from worker.changes.pages import OnPage, Page, PageFailed
from worker.changes.position import Position, completed, incomplete
from worker.changes.records import record_key
from worker.changes.scan import ScanStep, SeenRows
from worker.config.compiled import Report
from worker.config.statements import MAX_ROWS
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ports import Reader

PATH = "/Report"
TIMEOUT = 90.0  # seconds: Halo itself gives up after about 60
BEGINNING = "1900-01-01T00:00:00.000"
FIRST_YEAR = 1900  # an unset date is no position: a subtraction from it would leave the years that a date can have
MAX_ANSWERS = 20_000
GATEWAY_TIMEOUT, FORBIDDEN = 504, 403
SCOPES = "grant the scopes read:reporting and edit:reporting to the application, and reports to the role of its agent; without them, read by `for_each`"
TOO_LARGE = "lower the TOP of the statement, or select fewer columns"
TOO_SLOW = "a report has about 60 s: narrow the statement, or lower its TOP"


class ReportScan:
    """One scan of one report. `since`: start of its window, UTC; None: everything. `ignore`: columns that are not content."""

    def __init__(
        self, reader: Reader, report: Report, key: Sequence[str], since: datetime | None, on_page: OnPage, *, ignore: frozenset[str] = frozenset()
    ) -> None:
        self._reader = reader
        self._report = report
        self._key = tuple(key)
        self._since = since
        self._on_page = on_page
        self._ignore = ignore

    async def steps(self, position: Position, seen: SeenRows) -> AsyncIterator[ScanStep]:
        """Read answer by answer from `position` until the scan ends. Adds to `seen`."""
        while not position.ended:
            since = position.newest if position.page > 1 else self._since
            page = await self._read(position.page, since)
            if isinstance(page, PageFailed):
                yield ScanStep([], [], frozenset(), replace(position, state="failed", reason=page.exchange.reason), page.exchange)
                return
            rows, unfit = self._typed(page.rows)
            keys = [record_key(row, self._key) for row in rows]
            if are_ambiguous(rows, keys, self._ignore):
                yield ScanStep([], [], frozenset(), incomplete(position, ambiguity(rows, self._key)), ambiguous=True)
                return
            found = {key for key in keys if key is not None}
            fresh = frozenset(found - seen.keys)
            seen.keys.update(found)
            position = self._after(position, page, rows, since, keyless=None in keys)
            reasons = {key: unfit[number] for number, key in enumerate(keys) if key is not None and number in unfit}
            yield ScanStep(rows, keys, fresh, position, unfit=reasons)

    async def _read(self, number: int, since: datetime | None) -> Page | PageFailed:
        exchange = await self._reader.send(report_request(self._report, since), priority=Priority.POLL)
        page = self._with_columns(rows_of_report(exchange), exchange)
        self._on_page(number, page, exchange)
        return page

    def _with_columns(self, page: Page | PageFailed, exchange: Exchange) -> Page | PageFailed:
        """Fail the poll where the route names a column that no row has. Halo leaves out members that are null, so a single row proves nothing."""
        if isinstance(page, PageFailed) or not page.rows:
            return page
        found = set().union(*page.rows)
        absent = sorted({*self._report.types, *self._key} - found)
        if not absent or len(page.rows) == 1:
            return page
        return page_failure(exchange, f"the report has no column {' or '.join(absent)}; it has {', '.join(sorted(found))}")

    def _typed(self, rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[int, str]]:
        """Return the records, and the reasons of the records that do not fit, by their numbers."""
        found = [typed(row, self._report.types) for row in rows]
        return [record for record, _ in found], {number: reason for number, (_, reason) in enumerate(found) if reason}

    def _after(self, position: Position, page: Page, rows: Sequence[dict[str, Any]], since: datetime | None, *, keyless: bool) -> Position:
        cursor = self._report.cursor
        stamps = [] if cursor is None else [stamp for row in rows if (stamp := moment(row.get(cursor))) is not None and stamp.year >= FIRST_YEAR]
        newest = max([*stamps, position.newest] if position.newest else stamps, default=None)
        position = replace(
            position,
            page=position.page + 1,
            rows=position.rows + len(rows),
            newest=newest,
            started=position.started or page.date,
            latest=page.date or position.latest,
        )
        if keyless:
            return incomplete(position, f"rows of the report lack {' or '.join(self._key)}, which identifies a record: name other columns under `key`")
        asked = MAX_ROWS if self._report.top is None else self._report.top
        if len(rows) < min(asked, MAX_ROWS):
            return completed(position)
        if self._report.cursor is None:
            return incomplete(
                position, f"{len(rows):,} rows came, as many as one answer holds: raise TOP up to {MAX_ROWS:,}, narrow the statement, or name a `cursor`"
            )
        return after_cut(position, stamps, since, rows=len(rows), by_top=len(rows) == self._report.top)


def after_cut(position: Position, stamps: Sequence[datetime], since: datetime | None, *, rows: int, by_top: bool) -> Position:
    """Go on from the newest row. `by_top`: the statement itself cut the answer; otherwise Halo did, in the order in which the rows came."""
    if not by_top and any(later < earlier for earlier, later in pairwise(stamps)):
        return incomplete(position, f"Halo cut the answer after {rows:,} rows that are not in the order of the cursor: write TOP {MAX_ROWS} or fewer")
    if position.newest is None or cursor_text(position.newest) == cursor_text(since):
        return incomplete(
            position, f"{rows:,} rows and more have one time in the column of `cursor`, so that a cut answer cannot go on: raise TOP, or narrow the statement"
        )
    if position.page > MAX_ANSWERS:
        return incomplete(position, f"no end after {MAX_ANSWERS:,} answers")
    return replace(position, state="forwards")


def cursor_text(since: datetime | None) -> str:
    """The only value that is ever put into a statement: a date in UTC with three decimals, rounded down."""
    if since is None:
        return BEGINNING
    return since.astimezone(UTC).isoformat(timespec="milliseconds")[: len(BEGINNING)]


def report_request(report: Report, since: datetime | None) -> Request:
    """Run the statement without storing a report (FACTS: `_loadreportonly`)."""
    sql = cursor_text(since).join(report.pieces)
    return Request("POST", PATH, body=[{"sql": sql, "_testonly": True, "_loadreportonly": True}], timeout=TIMEOUT)


def rows_of_report(exchange: Exchange) -> Page | PageFailed:
    """The rows of an answer; a statement that failed is an answer with status 200 and `load_error`."""
    if not exchange.ok:
        remedy = TOO_LARGE if exchange.oversized else {FORBIDDEN: SCOPES, GATEWAY_TIMEOUT: TOO_SLOW}.get(exchange.status or 0)
        return PageFailed(exchange if remedy is None else replace(exchange, reason=f"{exchange.reason}; {remedy}"))
    body = exchange.body[0] if isinstance(exchange.body, list) and len(exchange.body) == 1 else exchange.body
    report = body.get("report") if isinstance(body, dict) else None
    if not isinstance(report, dict):
        return page_failure(exchange, "the answer holds no `report`: this Halo does not run reports, or the application may not")
    if error := report.get("load_error"):
        return page_failure(exchange, f"Halo refuses the statement: {str(error)[:300]}")
    rows = report.get("rows")
    if not isinstance(rows, list) or report.get("loaded") is False:
        return page_failure(exchange, "the report was not loaded, and Halo does not say why")
    return Page([row for row in rows if isinstance(row, dict)], None, exchange.date)


def page_failure(exchange: Exchange, reason: str) -> PageFailed:
    return PageFailed(replace(exchange, result=RequestResult.REJECTED, reason=reason))
