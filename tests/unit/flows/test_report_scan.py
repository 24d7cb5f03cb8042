"""The scan of a report: where a cut answer goes on, and what makes an answer incomplete or a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.tools.evaluating import InProcess
from tests.unit.changes.polling import Emitted
from worker.catalogue.operation import Operation
from worker.changes.position import Position
from worker.changes.scan import ScanStep, SeenRows
from worker.config.compiled import Report
from worker.config.routes import Subscriber
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.flows.polling.poll import Poller
from worker.flows.polling.report_scan import BEGINNING, ReportScan, rows_of_report
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex

START = datetime(2026, 3, 1, tzinfo=UTC)


def rows(*seconds: float, first: int = 1) -> list[dict[str, str]]:
    stamps = [(START + timedelta(seconds=second)).replace(tzinfo=None).isoformat(timespec="milliseconds") for second in seconds]
    return [{"id": str(number), "changed": stamp} for number, stamp in enumerate(stamps, first)]


@dataclass
class Database:
    """Answers a statement `cursor|top` with the first rows from the cursor on. `cap`: what Halo itself cuts at; `order`: how the rows come."""

    rows: list[dict[str, str]]
    top: int | None = None
    cap: int = 50_000
    backwards: bool = False
    asked: list[str] = field(default_factory=list)

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert (request.method, request.path, priority) == ("POST", "/Report", Priority.POLL)
        [sent] = request.body
        self.asked.append(sent["sql"])
        found = sorted((row for row in self.rows if row["changed"] >= sent["sql"]), key=lambda row: row["changed"])
        found = found[: min(self.top or self.cap, self.cap)]
        return Exchange(RequestResult.DONE, 200, body={"report": {"rows": found[::-1] if self.backwards else found, "loaded": True}})


@dataclass
class Unfiltered:
    """Answers with these rows whatever the statement asks for."""

    rows: list[dict[str, str]]

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        return Exchange(RequestResult.DONE, 200, body={"report": {"rows": self.rows, "loaded": True}}, date=START)


def report(top: int | None = None, cursor: str | None = "changed") -> Report:
    return Report(("", ""), cursor, {"id": "int", "changed": "time"}, top)


async def scanned(database: Database, route: Report) -> list[ScanStep]:
    scan = ReportScan(database, route, ("id",), None, lambda *_: None)
    return [step async for step in scan.steps(Position(), SeenRows())]


def ids(steps: list[ScanStep]) -> list[int]:
    return [row["id"] for step in steps for row in step.rows]


async def test_an_answer_cut_by_top_goes_on_from_its_newest_row_whatever_the_order_of_the_rows():
    for backwards in (False, True):
        database = Database(rows(*range(10)), top=4, backwards=backwards)
        steps = await scanned(database, report(top=4))
        assert set(ids(steps)) == set(range(1, 11))
        assert steps[-1].position.state == "complete"
        assert database.asked == [BEGINNING, "2026-03-01T00:00:03.000", "2026-03-01T00:00:06.000", "2026-03-01T00:00:09.000"]


async def test_an_answer_that_halo_cuts_goes_on_only_if_its_rows_came_in_order(monkeypatch):
    monkeypatch.setattr("worker.flows.polling.report_scan.MAX_ROWS", 4)
    in_order = await scanned(Database(rows(*range(10)), cap=4), report())
    assert set(ids(in_order)) == set(range(1, 11))
    [step] = await scanned(Database(rows(*range(10)), cap=4, backwards=True), report())
    assert step.position.state == "incomplete"
    assert "not in the order of the cursor: write TOP" in step.position.reason


async def test_a_whole_table_that_does_not_fit_into_one_answer_is_incomplete():
    [step] = await scanned(Database(rows(*range(10)), top=4), report(top=4, cursor=None))
    assert step.position.state == "incomplete"
    assert "name a `cursor`" in step.position.reason


async def test_more_rows_of_one_time_than_top_are_incomplete_and_end_the_scan():
    database = Database(rows(1, 2, 2, 2, 2, 3), top=3)
    steps = await scanned(database, report(top=3))
    assert len(database.asked) == 2, "asking again would bring the same rows"
    assert steps[-1].position.state == "incomplete"
    assert "have one time" in steps[-1].position.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"report": {"rows": [], "load_error": "Invalid column name 'x'."}}, "Halo refuses the statement: Invalid column name 'x'."),
        ({"report": {"rows": [], "loaded": False}}, "the report was not loaded"),
        ({"id": 5}, "the answer holds no `report`"),
        ("text", "the answer holds no `report`"),
        ({"report": {"loaded": True}}, "the report was not loaded"),
    ],
)
def test_an_answer_without_rows_is_a_failure_with_its_reason(body: Any, reason: str):
    page = rows_of_report(Exchange(RequestResult.DONE, 200, body=body))
    assert page.exchange.reason.startswith(reason)
    assert not page.exchange.ok


@pytest.mark.parametrize(
    ("exchange", "remedy"),
    [
        (Exchange(RequestResult.AUTH, 403, "Halo answered 403"), "grant the scopes read:reporting and edit:reporting"),
        (Exchange(RequestResult.AMBIGUOUS, 504, "Halo answered 504"), "lower its TOP"),
        (Exchange(RequestResult.DONE_UNREAD, 200, "Halo answered 200, but it is too large", oversized=True), "select fewer columns"),
    ],
)
def test_a_failure_that_an_operator_can_mend_names_the_remedy(exchange: Exchange, remedy: str):
    assert remedy in rows_of_report(exchange).exchange.reason


def test_an_answer_may_be_an_array_of_one():
    page = rows_of_report(Exchange(RequestResult.DONE, 200, body=[{"report": {"rows": [{"id": "1"}], "loaded": True}}]))
    assert page.rows == [{"id": "1"}]


async def test_a_row_whose_cursor_is_an_unset_date_moves_no_position():
    """From the year 1 nothing can be subtracted: each later poll would fail."""
    for unset in ("0001-01-01T00:00:00", "1899-12-30T00:00:00"):
        row = {"id": "no number", "changed": unset}  # a row that does not fit stays as it is
        scan = ReportScan(Unfiltered([row]), report(), ("id",), None, lambda *_: None)
        [step] = [step async for step in scan.steps(Position(), SeenRows())]
        assert (step.position.state, step.position.newest, len(step.rows)) == ("complete", None, 1)
        assert step.position.reached == step.position.started


async def test_a_column_that_no_row_has_fails_the_poll_and_names_those_that_there_are():
    database = Database([{"ID": "1", "changed": "2026-03-01T00:00:00.000"}, {"ID": "2", "changed": "2026-03-01T00:00:01.000"}])
    [step] = await scanned(database, report())
    assert step.failure is not None
    assert step.failure.reason == "the report has no column id; it has ID, changed"


async def test_the_oldest_known_rows_make_room_where_only_new_rows_come_again(monkeypatch):
    monkeypatch.setattr("worker.flows.polling.processing.MAX_KNOWN", 6)
    monkeypatch.setattr("worker.flows.polling.processing.FORGOTTEN", 3)
    route = Subscriber("rows", "main", Operation("GET", "/Report", key=("id",)), changes="by_date", start="beginning", report=report(), key=("id",), overlap=0)
    database, emitted, known = Database(rows(*range(6))), Emitted(), RecordIndex()

    class Clock:
        def now(self) -> float:
            return (START + timedelta(hours=1)).timestamp()

        def monotonic(self) -> float:
            return 0.0

    async def poll(baton: Baton) -> Baton:
        result = await Poller(route, database, emitted, InProcess(), Clock(), Metrics()).take_turn(baton, known, lambda: False)
        assert result.error == ""
        known.seen.clear()
        return baton.advanced(**result.changes)

    baton = await poll(Baton())
    database.rows += rows(6, 7, first=7)
    await poll(baton)
    assert [change.key for change in emitted.changes] == [str(number) for number in range(1, 9)]
    assert set(known.hashes) == {"4", "5", "6", "7", "8"}
