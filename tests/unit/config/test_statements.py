"""What `check` reads in the SQL of a report, and what may be put into it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.config.compiled import Report
from worker.config.statements import PLACE, Statement, mistakes
from worker.flows.polling.report_scan import BEGINNING, cursor_text, report_request

GOOD = [
    f"SELECT TOP 5000 faultid AS ticket_id, actiondatecreated AS changed FROM actions WHERE actiondatecreated >= '{PLACE}' ORDER BY actiondatecreated",
    f"select top (10) a.x as id, a.t as changed from actions a where a.t >= '{PLACE}' order by a.t, a.x",
    f"SELECT id, t AS changed FROM x WHERE t >= '{PLACE}' ORDER BY t OFFSET 0 ROWS FETCH NEXT 7 ROWS ONLY",
    f"SELECT TOP 5 id, CONVERT(varchar(33), t, 126) AS changed FROM x WHERE t >= '{PLACE}' ORDER BY t",
    f"SELECT TOP 5 id, changed FROM (SELECT TOP 9 id, t AS changed FROM x ORDER BY t DESC) y WHERE changed >= '{PLACE}' ORDER BY changed",
    f"SELECT TOP 5 * FROM x WHERE note <> 'a -- b; c' AND changed >= CAST('{PLACE}' AS datetime) ORDER BY [changed]",
]


@pytest.mark.parametrize("sql", GOOD)
def test_a_good_statement_has_no_mistake(sql):
    assert list(mistakes(sql, "changed")) == []


@pytest.mark.parametrize(
    ("sql", "top", "columns"),
    [
        (GOOD[0], 5000, {"ticket_id": "faultid", "changed": "actiondatecreated"}),
        (GOOD[1], 10, {"id": "a.x", "changed": "a.t"}),
        (GOOD[2], 7, {"id": "id", "changed": "t"}),
        (GOOD[5], 5, None),
        ("SELECT DISTINCT TOP 3 a.id, [b] AS [the name], (SELECT MAX(c) FROM d) AS most FROM a", 3, {"id": "a.id", "most": "(SELECT MAX(c) FROM d)"}),
    ],
)
def test_top_and_columns_are_read(sql, top, columns):
    statement = Statement(sql)
    assert statement.top == top
    assert statement.columns is columns is None or columns.items() <= statement.columns.items()


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])) | st.none())
def test_only_a_date_in_one_form_is_ever_put_into_a_statement(moment):
    text = cursor_text(moment)
    assert len(text) == len(BEGINNING)
    assert set(text) <= set("0123456789-T:.")
    [sent] = report_request(Report(("SELECT '", "'"), "c"), moment).body
    assert sent == {"sql": f"SELECT '{text}'", "_testonly": True, "_loadreportonly": True}


def test_the_cursor_is_rounded_down_so_that_the_rows_of_the_position_come_again():
    assert cursor_text(datetime(2026, 3, 1, 8, 0, 0, 123_999, UTC)) == "2026-03-01T08:00:00.123"
