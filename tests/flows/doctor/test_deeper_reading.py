"""`doctor` proves what reports and lists below other records need, and says what a poll of them costs."""

from __future__ import annotations

from tests.flows.doctor.test_doctor import AUTH, checks, of
from tests.tools.job import client
from worker.app.doctor.check import CheckVerdict
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings

SQL = "SELECT TOP 5 id, datecreated AS changed FROM attachment WHERE datecreated >= '{{ $cursor }}' ORDER BY datecreated"


def report(sql=SQL):
    return {"client": "main", "key": ["id"], "report": {"sql": sql, "cursor": "changed"}}


async def test_a_report_is_run_once_without_storing_it_and_a_poll_costs_one_request(tmp_path):
    async with serve(SandboxSettings(tickets=3)) as halo:
        found = await checks(tmp_path, {"clients": {"main": client(halo)}, "subscribers": {"files": report()}})
        assert of(found, "subscriber files").result == "0 rows"
        assert of(found, "subscriber files costs").result == "one request, whatever the number of records"
        assert len(halo.journal.received("POST", "/Report")) == 1
        assert list(halo.store.rows("Report")) == []


async def test_a_wrong_statement_and_a_missing_scope_are_told_with_the_remedy(tmp_path):
    async with serve(SandboxSettings(tickets=3)) as halo:
        wrong = SQL.replace("FROM attachment", "FROM attachments")
        found = await checks(tmp_path, {"clients": {"main": client(halo)}, "subscribers": {"files": report(wrong)}})
        assert of(found, "subscriber files").verdict is CheckVerdict.FAILED
        assert "Invalid object name 'attachments'" in of(found, "subscriber files").result
        narrow = client(halo, auth=AUTH | {"scopes": ["read:tickets"]})
        found = await checks(tmp_path, {"clients": {"main": narrow}, "subscribers": {"files": report()}})
        assert "read:reporting and edit:reporting" in of(found, "subscriber files").fix


async def test_the_parents_are_read_and_the_cost_of_children_and_included_lists_is_told(tmp_path):
    async with serve(SandboxSettings(tickets=3)) as halo:
        below = {"ticket_id": "{{ $parent.id }}"}
        routes = {
            "notes": {"client": "main", "entity": "Actions", "for_each": {"entity": "Tickets"}, "request": {"query": below}},
            "tickets": {"client": "main", "entity": "Tickets", "include": {"actions": {"entity": "Actions", "query": {"ticket_id": "{{ id }}"}}}},
        }
        found = await checks(tmp_path, {"clients": {"main": client(halo)}, "subscribers": routes})
        assert of(found, "subscriber notes").verdict is CheckVerdict.GOOD
        assert of(found, "subscriber notes costs").result.startswith("one request for up to 100 changed parents, and one for the children of each")
        assert of(found, "subscriber tickets costs").result == "1 more for each changed record (actions)"
