"""The control API of the sandbox."""

import orjson
import pytest


async def control(visitor, method, path, body=None):
    return await visitor.call(method, f"/_sandbox{path}", bearer=False, data=None if body is None else orjson.dumps(body))


async def test_faults_are_planned_listed_and_removed(visit):
    async with visit() as visitor:
        made = await control(visitor, "POST", "/faults", {"does": "answer", "path": "/Status", "status": 503, "times": None, "body": "html"})
        assert made.status == 201
        assert (await visitor.get("/Status")).status == 503
        assert [(fault["number"], fault["struck"]) for fault in (await control(visitor, "GET", "/faults")).json] == [(1, 1)]
        await control(visitor, "DELETE", "/faults/1")
        assert (await visitor.get("/Status")).status == 200


async def test_all_faults_are_removed_at_once(visit):
    async with visit() as visitor:
        for status in (502, 503):
            await control(visitor, "POST", "/faults", {"does": "answer", "path": "/Status", "status": status})
        assert (await control(visitor, "DELETE", "/faults")).status == 204
        assert (await visitor.get("/Status")).status == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"does": "answr"}, "does cannot be 'answr'; valid: delay, hold,"),
        ({"dose": "answer"}, "unknown member 'dose'; did you mean does?"),
        ({}, "does is missing"),
        ([], "the body must be a JSON object"),
    ],
)
async def test_an_invalid_fault_is_refused_with_the_valid_values(visit, body, sentence):
    async with visit() as visitor:
        answer = await control(visitor, "POST", "/faults", body)
        assert answer.status == 400
        assert answer.json["error"].startswith(sentence)


async def test_settings_change_while_it_runs(visit):
    async with visit() as visitor:
        answer = await control(visitor, "PATCH", "/settings", {"page_cap": 5, "error_wrapper": "exception"})
        assert answer.json["page_cap"] == 5
        assert len((await visitor.get("/Tickets", pageinate="true", page_size=50)).json["tickets"]) == 5
        assert (await visitor.post("/Team", [{"id": 99}])).json["Message"] == "Record not found"
        assert "did you mean page_cap?" in (await control(visitor, "PATCH", "/settings", {"page_cup": 5})).json["error"]


async def test_records_are_written_and_read_as_by_another_user(visit):
    async with visit() as visitor:
        made = (await control(visitor, "POST", "/records/Tickets", {"summary": "by phone"})).json
        changed = (await control(visitor, "POST", "/records/Tickets", {"id": made["id"], "summary": "by mail"})).json
        assert changed["summary"] == "by mail"
        assert len((await control(visitor, "GET", "/records/tickets")).json) == 31
        assert (await control(visitor, "DELETE", f"/records/Tickets/{made['id']}")).json["id"] == made["id"]
        missing = await control(visitor, "DELETE", f"/records/Tickets/{made['id']}")
        assert (missing.status, missing.json) == (400, {"error": "tickets has no record 31"})
        assert (await control(visitor, "POST", "/records/Tickets", {"id": 999})).status == 400
        assert visitor.halo.journal.executed() == []


async def test_a_record_may_be_written_with_a_date_and_at_a_moment_of_the_past(visit):
    async with visit() as visitor:
        sent = {"id": "3", "summary": "late", "fixbydate": "2020-05-05T10:00:00Z"}
        changed = await control(visitor, "POST", "/records/Tickets?stamp=2020-05-01T12:00:00", sent)
        assert (changed.json["last_update"], changed.json["fixbydate"]) == ("2020-05-01T12:00:00", "2020-05-05T10:00:00")
        assert "Could not convert" in (await control(visitor, "POST", "/records/Tickets", {"client_id": "x"})).json["error"]


async def test_the_journal_can_be_read_in_parts_and_emptied(visit):
    async with visit() as visitor:
        await visitor.post("/Tickets", [{"summary": "x"}])
        await visitor.get("/Status")
        told = (await control(visitor, "GET", "/journal?method=POST&path=/Tickets")).json
        assert [entry["created"] for entry in told["executed"]] == [[31]]
        assert len(told["received"]) == 1
        assert told["tokens"][0]["grant"] == "client_credentials"
        await control(visitor, "DELETE", "/journal")
        assert (await control(visitor, "GET", "/journal")).json == {"executed": [], "received": [], "tokens": []}


async def test_tokens_can_be_revoked(visit):
    async with visit() as visitor:
        await visitor.get("/Status")
        assert (await control(visitor, "POST", "/revoke")).json == {"revoked": 1}
        assert (await visitor.get("/Status")).status == 401
