"""Reports of the simulated Halo as a read channel."""

import asyncio

import pytest


async def run(visitor, sql, **members):
    answer = await visitor.post("/Report", [{"sql": sql, "_testonly": True, "_loadreportonly": True, **members}])
    assert answer.status == 200, answer.body
    return answer.json["report"]


async def test_a_report_that_is_only_loaded_answers_200_with_rows_of_strings_and_stores_nothing(visit):
    async with visit() as visitor:
        report = await run(visitor, "SELECT TOP 2 id, summary, estimate, dateclosed FROM Faults ORDER BY id DESC")
        newest = visitor.halo.store.get("Tickets", 30)
        assert report["loaded"] is True
        assert "load_error" not in report
        assert [row["id"] for row in report["rows"]] == ["30", "29"]
        assert report["rows"][0]["summary"] == newest["summary"]
        assert all(isinstance(cell, str) for row in report["rows"] for cell in row.values())
        assert (await visitor.get("/Report")).json["record_count"] == 0


async def test_a_stored_report_runs_when_its_rows_are_asked_for(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Report", [{"name": "Customers", "sql": "SELECT COUNT(*) AS number FROM Area"}])).json
        assert "report" not in (await visitor.get(f"/Report/{made['id']}")).json
        assert (await visitor.get(f"/Report/{made['id']}", loadreport="true")).json["report"]["rows"] == [{"number": "12"}]


async def test_reports_need_a_scope_of_reporting(visit):
    async with visit() as visitor:
        visitor.scope = "read:tickets edit:tickets"
        assert (await visitor.post("/Report", [{"sql": "SELECT 1 AS x", "_loadreportonly": True}])).status == 403
        visitor.forget_token()
        visitor.scope = "read:reporting edit:reporting"
        assert (await run(visitor, "SELECT 1 AS x"))["rows"] == [{"x": "1"}]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT id FROM Faults ORDER BY id", "The ORDER BY clause is invalid in views"),
        ("SELECT id FROM (SELECT id FROM Area ORDER BY id) AS a", "The ORDER BY clause is invalid in views"),
        ("SELECT COUNT(*) FROM Faults", "No column name was specified for column 1"),
        ("SELECT id, id FROM Faults", "The column 'id' was specified multiple times"),
        ("SELECT nonsense FROM Faults", "Invalid column name 'nonsense'."),
        ("SELECT id FROM Nonsense", "Invalid object name 'Nonsense'."),
        ("SELECT id FROM Faults -- all of them", "Incorrect syntax near '--'."),
        ("WITH all_of_them AS (SELECT id FROM Faults) SELECT id FROM all_of_them", "Incorrect syntax near 'WITH'."),
        ("", "Incorrect syntax near ''."),
    ],
)
async def test_a_wrong_statement_is_200_with_an_error_and_no_rows(visit, sql, error):
    async with visit() as visitor:
        report = await run(visitor, sql)
        assert (report["rows"], report["loaded"]) == ([], False)
        assert report["load_error"].startswith(error)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT id FROM Faults ORDER BY id OFFSET 3 ROWS FETCH NEXT 2 ROWS ONLY", [{"id": "4"}, {"id": "5"}]),
        ("SELECT f.id, a.name FROM dbo.Faults f WITH (NOLOCK) JOIN Area a ON a.id = f.client_id WHERE f.id = 7 AND a.id = 4", None),
        ("SELECT TOP 1 id FROM Status UNION ALL SELECT TOP (2) id FROM Team", [{"id": "1"}, {"id": "1"}, {"id": "2"}]),
        ("SELECT COUNT(*) AS [how many] FROM Uname WHERE name LIKE N'%a%'", None),
        ("SELECT LEFT(name, 3) AS part, ISNULL(NULL, 'none') AS other FROM TStatus WHERE id = 9", [{"part": "Clo", "other": "none"}]),
        ("SELECT DATEDIFF(day, DATEADD(day, -3, GETDATE()), GETDATE()) AS days", [{"days": "3"}]),
        ("SELECT third_party_id_string FROM Faults WHERE id = 3", [{"third_party_id_string": ""}]),
        ("SELECT 'a -- b; c' AS text", [{"text": "a -- b; c"}]),
    ],
)
async def test_a_small_part_of_sql_server_is_understood(visit, sql, rows):
    async with visit() as visitor:
        report = await run(visitor, sql)
        assert report["loaded"], report["load_error"]
        assert rows is None or report["rows"] == rows


async def test_a_report_sees_what_was_just_written_and_nothing_that_the_role_must_not_see(visit):
    async with visit() as visitor:
        visitor.halo.store.hide("Tickets", 4)
        await visitor.post("/Tickets", [{"id": 3, "summary": "Needle"}])
        await visitor.post("/Actions", [{"ticket_id": 3, "outcome_id": 7, "note": "needle"}])
        assert (await run(visitor, "SELECT id FROM Faults WHERE summary = 'Needle' OR id = 4"))["rows"] == [{"id": "3"}]
        assert (await run(visitor, "SELECT ticket_id FROM Actions WHERE note = 'needle'"))["rows"] == [{"ticket_id": "3"}]


async def test_rows_above_the_cap_are_left_out_without_a_word(visit):
    async with visit(report_rows=7) as visitor:
        report = await run(visitor, "SELECT id FROM Faults")
        assert len(report["rows"]) == 7
        assert set(report) == {"rows", "loaded"}


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE Faults",
        "SELECT id FROM Faults; DELETE FROM Faults",
        "SELECT name FROM sqlite_master",
        "SELECT * FROM pragma_table_info('faults')",
        "SELECT load_extension('/tmp/x.so') AS x",
        "SELECT randomblob(1000000000) AS x",
        "SELECT printf('%.*c', 1000000000, 'x') AS x",
        "SELECT readfile('/etc/passwd') AS x",
        f"SELECT {'(' * 5000}1{')' * 5000} AS x",
        f"SELECT '{'x' * 200_000}' AS x",
        f"SELECT {'/*' * 49_000} 1 AS x",
        f"SELECT {chr(39) * 99_001} AS x",
    ],
)
async def test_a_hostile_statement_is_refused_and_the_data_stays(visit, sql):
    async with visit() as visitor:
        assert (await run(visitor, sql))["loaded"] is False
        assert (await run(visitor, "SELECT COUNT(*) AS n FROM Faults"))["rows"] == [{"n": "30"}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a.id AS a, b.id AS b, c.id AS c, d.id AS d, e.id AS e FROM Faults a, Faults b, Faults c, Faults d, Faults e ORDER BY a.summary OFFSET 1 ROWS",
        "SELECT COUNT(*) AS n FROM Faults a, Faults b, Faults c, Faults d, Faults e, Faults f",
    ],
)
async def test_a_report_without_end_is_504_and_others_are_answered_meanwhile(visit, sql):
    async with visit(report_seconds=0.5) as visitor:
        endless = asyncio.create_task(visitor.post("/Report", [{"sql": sql, "_loadreportonly": True}]))
        await asyncio.sleep(0)
        assert (await visitor.get("/Status")).status == 200
        answer = await endless
        assert (answer.status, answer.body) == (504, b"")


async def test_a_report_with_a_result_without_measure_is_504(visit):
    async with visit() as visitor:
        wide = "replace(replace(replace('xxxxxxxxxx', 'x', 'yyyyyyyyyyyyyyyyyyyy'), 'y', 'zzzzzzzzzzzzzzzzzzzz'), 'z', 'wwwwwwwwwwwwwwwwwwww') AS x"
        answer = await visitor.post("/Report", [{"sql": f"SELECT a.id AS a, b.id AS b, {wide} FROM Faults a, Faults b, Faults c", "_loadreportonly": True}])
        assert answer.status == 504
