"""POST and DELETE on the simulated Halo."""

import base64
import io
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

SEVEN_DECIMALS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


async def test_a_record_without_an_id_is_created_and_answered_as_one_object_with_201(visit):
    async with visit() as visitor:
        answer = await visitor.post("/Tickets", [{"summary": "Printer", "client_id": 3}])
        assert answer.status == 201
        assert (answer.json["id"], answer.json["summary"], answer.json["client_id"]) == (31, "Printer", 3)
        assert answer.json["client_name"] == visitor.halo.store.get("Client", 3)["name"]


async def test_an_id_of_zero_creates_as_well(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Supplier", [{"id": 0, "name": "New"}])).json["id"] == 21


async def test_answers_to_a_post_have_dates_with_seven_decimals_and_a_z(visit):
    async with visit() as visitor:
        answer = (await visitor.post("/Tickets", [{"summary": "x"}])).json
        assert SEVEN_DECIMALS.fullmatch(answer["dateoccurred"])
        assert SEVEN_DECIMALS.fullmatch(answer["last_update"])


async def test_the_database_rounds_moments_to_a_300th_of_a_second(visit):
    async with visit(now=lambda: datetime(2026, 1, 1, 12, 0, 0, 838_829, tzinfo=UTC)) as visitor:
        answer = (await visitor.post("/Tickets", [{"summary": "x"}])).json
        shown = (await visitor.get("/Tickets/31")).json
        assert answer["last_update"] == "2026-01-01T12:00:00.8388294Z"
        assert shown["last_update"] == "2026-01-01T12:00:00.84"


async def test_an_update_merges_only_what_was_sent(visit):
    async with visit() as visitor:
        before = (await visitor.get("/Asset/3", includedetails="true")).json
        answer = await visitor.post("/Asset", [{"id": 3, "key_field2": "shelf 4"}])
        after = (await visitor.get("/Asset/3", includedetails="true")).json
        assert answer.status == 201
        assert answer.json["inventory_number"] == before["inventory_number"]
        assert {name for name in after if after[name] != before.get(name)} == {"key_field2", "last_modified"}


async def test_of_several_records_only_the_last_is_answered_unless_all_are_asked_for(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Client", [{"name": "A"}, {"name": "B"}])).json["name"] == "B"
        everything = (await visitor.post("/Client", [{"name": "C"}, {"name": "D"}], returnall="true")).json
        assert [row["name"] for row in everything] == ["C", "D"]


async def test_some_versions_answer_an_array_of_one_and_200(visit):
    async with visit(answers_array=True, post_status=200) as visitor:
        answer = await visitor.post("/Client", [{"name": "A"}])
        assert (answer.status, len(answer.json), answer.json[0]["name"]) == (200, 1, "A")


async def test_a_bare_object_is_refused_where_an_array_is_due_and_nothing_is_stored(visit):
    async with visit() as visitor:
        answer = await visitor.post("/Tickets", {"summary": "x"})
        assert answer.status == 400
        assert "requires a JSON array" in next(iter(answer.json.values()))[0]
        assert visitor.halo.store.count("Tickets") == 30


async def test_older_versions_accept_a_bare_object(visit):
    async with visit(accepts_object=True) as visitor:
        assert (await visitor.post("/Tickets", {"id": 3, "summary": "x"})).json["summary"] == "x"


async def test_integers_may_come_as_text_but_not_as_decimals(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Tickets", [{"summary": "x", "client_id": "7"}])).json["client_id"] == 7
        for written in ("95.0", 95.0, True, [1]):
            answer = await visitor.post("/Tickets", [{"summary": "x", "client_id": written}])
            assert answer.status == 400, written
            assert list(answer.json) == ["[0].client_id"]


async def test_a_value_of_the_wrong_type_rejects_the_whole_array_before_anything_is_stored(visit):
    async with visit() as visitor:
        body = b'[{"name":"Good"},\n {"name":"Bad","toplevel_id":"abc"}]'
        answer = await visitor.call("POST", "/api/Client", data=body, headers={"Content-Type": "application/json"})
        assert answer.status == 400
        assert answer.json == {"[1].toplevel_id": ["Could not convert string to integer: abc. Path '[1].toplevel_id', line 2, position 34."]}
        assert visitor.halo.journal.executed("POST") == []


async def test_what_is_not_json_is_400_and_another_content_type_is_415(visit):
    async with visit() as visitor:
        for body, kind, status in ((b"{oops", "application/json", 400), (b"[]", "text/plain", 415), (b'[{"name":"A"}]', "application/json-patch+json", 201)):
            assert (await visitor.call("POST", "/api/Client", data=body, headers={"Content-Type": kind})).status == status


async def test_unknown_members_are_ignored_without_a_word(visit):
    async with visit() as visitor:
        assert "nonsense" not in (await visitor.post("/Tickets", [{"summary": "x", "nonsense": 1}])).json


@pytest.mark.parametrize(
    ("path", "record", "sentence"),
    [
        ("/Actions", {"ticket_id": 3, "note": "x"}, "An Outcome must be entered for this Action"),
        ("/Actions", {"outcome": "Internal Note"}, "Parameter ticket_id must be included"),
        ("/Actions", {"ticket_id": 999, "outcome_id": 7}, "Record not found"),
        ("/Users", {"site_id": 1}, "Username must be entered"),
        ("/Users", {"name": "Sam"}, "A Site must be selected"),
        ("/Tickets", {"summary": "x", "user_id": 4}, "A Site must be selected"),
        ("/Tickets", {"id": 999, "summary": "x"}, "Record not found"),
        ("/Team", {"name": "1st Line Support"}, "Name must be unique"),
        ("/Webhook", {"name": "hook", "url": "not a url"}, "Please enter a valid URL"),
        ("/CustomTable", {"id": 12, "db_name": "CTLicences"}, "Invalid Name"),
    ],
)
async def test_business_rules_refuse_with_a_sentence_in_one_of_two_wrappers(visit, path, record, sentence):
    async with visit() as visitor:
        answer = await visitor.post(path, [record])
        assert (answer.status, answer.json) == (400, sentence)
    async with visit(error_wrapper="exception") as visitor:
        answer = (await visitor.post(path, [record])).json
        assert (answer["ClassName"], answer["Message"], answer["HResult"]) == ("System.Exception", sentence, -2146233088)


async def test_a_business_error_ends_the_array_but_keeps_what_came_before_it(visit):
    records = [{"name": "First"}, {"name": "1st Line Support"}, {"name": "Third"}]
    async with visit() as visitor:
        assert (await visitor.post("/Team", records)).status == 400
        assert [row["name"] for row in visitor.halo.store.rows("Team")][4:] == ["First"]
        assert visitor.halo.journal.created("/Team") == [5]
    async with visit(keeps_earlier=False) as visitor:
        assert (await visitor.post("/Team", records)).status == 400
        assert visitor.halo.store.count("Team") == 4


async def test_a_record_may_keep_its_own_unique_name(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Team", [{"id": 1, "name": "1st Line Support", "inactive": True}])).status == 201


async def test_minimal_creates_that_real_clients_send_are_accepted(visit):
    minimal = {
        "/Users": {"firstname": "Sam", "surname": "Hill", "name": "Sam Hill", "emailaddress": "sam@example.com", "client_id": 3, "site_id": 5},
        "/Actions": {"ticket_id": "3", "outcome_id": "7", "note_html": "<p>Hello</p>", "who": "API"},
        "/Agent": {"name": "New Agent", "email": "new@example.com"},
        "/Address": {"line1": "1 High Street", "site_id": 1},
        "/Appointment": {"subject": "Visit", "start_date": "2026-01-01T09:00:00Z", "end_date": "2026-01-01T10:00:00Z", "agents": [{"id": 2, "use": "agent"}]},
        "/Webhook": {"name": "hook", "url": "https://example.com/hook", "type": 0, "method": 0, "active": True},
        "/Notification": {"webhook_id": "x", "type": -2, "delivery_method": 6, "eventno": "3", "filter_type": 2, "conditions": []},
        "/KBArticle": {"name": "How to", "description": "x"},
    }
    async with visit() as visitor:
        for path, record in minimal.items():
            answer = await visitor.post(path, [record])
            assert answer.status == 201, (path, answer.body)
            assert answer.json["id"]
        assert (await visitor.get("/Actions", ticket_id=3)).json["actions"][0]["note"] == "Hello"


async def test_webhooks_have_guids_and_drop_events(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Webhook", [{"name": "hook", "url": "https://example.com", "events": [{"id": 1}]}])).json
        assert str(UUID(made["id"])) == made["id"]
        assert "events" not in made
        assert (await visitor.post("/Webhook", [{"id": made["id"], "name": "renamed"}])).json["url"] == "https://example.com"
        assert (await visitor.get(f"/Webhook/{made['id'].upper()}")).json["name"] == "renamed"


async def test_custom_fields_merge_by_id_or_by_name(visit):
    async with visit() as visitor:
        sent = [{"id": "113", "value": 3}, {"name": "CFexternalReference", "value": "ERP-9"}, {"name": "CFnone", "value": 1}]
        fields = {field["id"]: field for field in (await visitor.post("/Tickets", [{"id": 3, "customfields": sent}])).json["customfields"]}
        assert (fields[113]["value"], fields[113]["display"]) == (3, "Home")
        assert fields[175]["value"] == "ERP-9"
        assert set(fields) == {113, 175, 201}


async def test_fields_of_an_asset_merge_by_id(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Asset", [{"site_id": 4, "assettype_id": "2", "fields": [{"id": "101", "value": "Rack"}]}])).json
        assert made["fields"] == [{"id": 101, "name": "Product", "value": "Rack", "display": "Rack"}]
        assert (made["client_id"], made["assettype_name"]) == (2, "Server")


async def test_fields_of_an_asset_that_an_update_leaves_out_become_empty(visit):
    for replaced, memory in ((True, ""), (False, "16 GB")):
        async with visit(asset_fields_replaced=replaced) as visitor:
            changed = (await visitor.post("/Asset", [{"id": 3, "fields": [{"id": 101, "value": "Rack"}]}])).json
            assert {field["id"]: field["value"] for field in changed["fields"]}[31] == memory
            assert {field["id"]: field["value"] for field in changed["fields"]}[101] == "Rack"
            assert (await visitor.post("/Asset", [{"id": 4, "notes": "seen"}])).json["fields"][3]["value"] == "16 GB"


async def test_an_agent_needs_a_name_and_gets_a_colour(visit):
    async with visit() as visitor:
        refused = await visitor.post("/Agent", [{"email": "new@example.com"}])
        assert (refused.status, refused.json) == (400, "Name must be entered")
        assert (await visitor.post("/Agent", [{"name": "New Agent"}])).json["colour"].startswith("#")


async def test_a_general_user_is_not_deleted(visit):
    async with visit() as visitor:
        refused = await visitor.delete("/Users/1")
        assert (refused.status, refused.json) == (400, "General Users cannot be deleted")
        assert (await visitor.get("/Users/1")).status == 200
        assert (await visitor.delete("/Users/2")).status == 200
        assert len(visitor.halo.journal.executed("DELETE")) == 1


async def test_an_action_names_the_application_that_made_it(visit):
    async with visit(application="ERP bridge") as visitor:
        made = (await visitor.post("/Actions", [{"ticket_id": 3, "outcome_id": 7, "note": "x"}])).json
        assert (made["actionby_application_id"], made["actionby_agent_id"]) == ("ERP bridge", 2)


async def test_a_ticket_made_by_the_api_has_the_source_manual_unless_it_names_one(visit):
    async with visit() as visitor:
        sources = {row["name"]: row["id"] for row in (await visitor.get("/Lookup", lookupid=22)).json}
        assert (await visitor.post("/Tickets", [{"summary": "x"}])).json["source"] == sources["Manual"]
        assert (await visitor.post("/Tickets", [{"summary": "x", "source": sources["Email"]}])).json["source"] == sources["Email"]


async def test_a_priority_of_another_sla_is_ignored_in_silence(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Tickets", [{"summary": "x", "priority_id": 2}])).json["priority_id"] == 2
        assert (await visitor.post("/Tickets", [{"summary": "x", "priority_id": 5}])).json["priority_id"] == 3
        assert (await visitor.post("/Tickets", [{"summary": "x", "priority_id": 5, "sla_id": 2}])).json["priority_id"] == 5


@pytest.mark.parametrize("id_", ["12.0", 12.0])
async def test_an_id_with_a_fraction_is_refused(visit, id_):
    async with visit() as visitor:
        refused = await visitor.post("/Tickets", [{"id": id_, "summary": "x"}])
        assert (refused.status, list(refused.json)) == (400, ["[0].id"])


async def test_reopening_leaves_no_mark_on_the_ticket(visit):
    async with visit() as visitor:
        closed = (await visitor.post("/Tickets", [{"id": 3, "status_id": 9}])).json
        opened = (await visitor.post("/Tickets", [{"id": 3, "status_id": 2}])).json
        assert {"hasbeenclosed", "dateclosed"} <= set(closed)
        assert {"hasbeenclosed", "dateclosed"} & set(opened) == set()


async def test_an_invoice_is_voided_without_a_body(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Invoice", [{"client_id": 3}])).json
        assert made["voided"] is False
        answer = await visitor.call("POST", f"/api/Invoice/{made['id']}/void")
        assert (answer.status, answer.json["id"], answer.json["voided"]) == (201, made["id"], True)
        assert (await visitor.get(f"/Invoice/{made['id']}")).json["voided"] is True
        assert (await visitor.call("POST", "/api/Invoice/999/void")).status == 404
        assert [entry.updated for entry in visitor.halo.journal.executed("POST", "/invoice/*/void")] == [(made["id"],)]


async def test_rows_added_to_a_custom_table_cannot_be_read_back(visit):
    async with visit() as visitor:
        answer = await visitor.post("/CustomTable", [{"id": 12, "_add_rows": [{"column_1": "value"}]}])
        assert answer.status == 201
        assert b"_add_rows" not in (await visitor.get("/CustomTable/12", includedetails="true")).body
        assert visitor.halo.store.appended[12] == [{"column_1": "value"}]


async def test_some_versions_want_the_type_and_the_client_with_a_ticket_update(visit):
    async with visit(ticket_update_needs_type=True) as visitor:
        assert (await visitor.post("/Tickets", [{"id": 3, "status_id": 2}])).json == "Record not found"
        assert (await visitor.post("/Tickets", [{"id": 3, "status_id": 2, "tickettype_id": 1, "client_id": 1}])).status == 201


async def test_delete_answers_the_record_and_a_second_one_is_404_with_nothing(visit):
    async with visit() as visitor:
        first, second = await visitor.delete("/Asset/3"), await visitor.delete("/Asset/3")
        assert (first.status, first.json["id"]) == (200, 3)
        assert (second.status, second.body) == (404, b"")
        assert [entry.deleted for entry in visitor.halo.journal.executed("DELETE", "/asset/*")] == [(3,)]


async def test_an_action_is_deleted_with_its_ticket(visit):
    async with visit() as visitor:
        await visitor.post("/Actions", [{"ticket_id": 3, "outcome_id": 7}])
        number = (await visitor.get("/Actions", ticket_id=3)).json["actions"][0]["id"]
        assert (await visitor.delete(f"/Actions/{number}")).status == 404
        assert (await visitor.delete(f"/Actions/{number}", ticket_id=3)).json["id"] == number


async def test_what_has_no_delete_is_405_and_what_does_not_exist_is_404(visit):
    async with visit() as visitor:
        assert (await visitor.delete("/Timesheet/1")).status == 405
        assert (await visitor.get("/NoSuchThing")).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_records_are_changed_by_post_alone(visit, method):
    async with visit() as visitor:
        for path in ("/api/Tickets", "/api/Tickets/3"):
            assert (await visitor.call(method, path, json=[{"id": 3}])).status == 405


async def test_an_image_is_uploaded_as_a_form(visit):
    async with visit() as visitor:
        assert (await visitor.call("POST", "/api/Attachment/image", data={"file": io.BytesIO(b"png")})).status == 201


@pytest.mark.parametrize(("path", "status"), [("/Tickets/probe", 400), ("/Webhook/probe", 400), ("/Priority/probe", 404), ("/Application/probe", 404)])
async def test_a_malformed_id_is_400_or_404_by_the_kind_of_the_id(visit, path, status):
    async with visit() as visitor:
        answer = await visitor.get(path)
        assert answer.status == status
        assert status != 400 or answer.json == {"id": ["The value 'probe' is not valid."]}


async def test_an_object_endpoint_accepts_an_object(visit):
    async with visit() as visitor:
        assert (await visitor.post("/Actions/reaction", {"ticket_id": 3, "type": "like"})).status == 201


async def test_an_attachment_comes_back_as_a_file_or_as_json(visit):
    async with visit() as visitor:
        data = base64.b64encode(b"hello").decode()
        made = (await visitor.post("/Attachment", [{"ticket_id": 3, "filename": "a.txt", "data_base64": f"data:text/plain;base64,{data}"}])).json
        assert (made["filesize"], made["content_type"]) == (5, "text/plain")
        raw = await visitor.get(f"/Attachment/{made['id']}")
        assert (raw.body, raw.headers["Content-Disposition"]) == (b"hello", 'attachment; filename="a.txt"')
        assert (await visitor.get(f"/Attachment/{made['id']}", includedetails="true")).json["data"] == data
        listed = (await visitor.get("/Attachment", ticket_id=3)).json
        assert (listed["ticket_id"], listed["record_count"]) == (3, 1)


async def test_a_runbook_starts_publicly_only_if_it_is_meant_to(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Webhook", [{"name": "book", "type": 1, "steps": [], "runbook_start_type": 0}])).json["id"]
        start = f"/api/automation/{made}"
        assert (await visitor.call("POST", start, bearer=False, json={})).status == 401
        await visitor.post("/Webhook", [{"id": made, "runbook_start_type": 1}])
        assert (await visitor.call("POST", start, bearer=False, json={})).status == 200
        await visitor.post("/Webhook", [{"id": made, "active": False}])
        assert (await visitor.call("POST", start, bearer=False, json={})).json == "Unable to start automation"


async def test_runs_of_runbooks_are_listed_oldest_first_with_their_number(visit):
    async with visit() as visitor:
        made = (await visitor.post("/Webhook", [{"name": "book", "type": 1, "steps": [], "runbook_start_type": 0}])).json["id"]
        for _ in range(3):
            started = await visitor.post(f"/Automation/{made}", {"formCollection": [{"Key": "ticket", "Value": "3"}]})
            assert (started.status, started.body) == (200, b"")
        listed = (await visitor.get("/Automation", count=2)).json
        assert (listed["record_count"], [run["id"] for run in listed["automations"]]) == (3, [1, 2])
        run = (await visitor.get("/Automation/3")).json
        assert (run["status"], run["runbook_id"]) == (2, made)
        assert (await visitor.post("/Automation/11111111-1111-4111-8111-111111111111", {})).status == 404


async def test_the_journal_holds_what_was_written_by_whom_and_in_which_order(visit):
    async with visit(client_id="worker-7") as visitor:
        await visitor.call("POST", "/api/Client", json=[{"name": "A"}], headers={"X-Correlation-ID": "abc"})
        await visitor.post("/Client", [{"id": 13, "name": "B"}])
        await visitor.post("/Client", [{"id": 999}])
        made, changed = visitor.halo.journal.executed("POST", "/client")
        assert (made.created, made.updated, made.correlation, made.client_id, made.body) == ((13,), (), "abc", "worker-7", [{"name": "A"}])
        assert (changed.created, changed.updated) == ((), (13,))
        assert made.number < changed.number
        assert [entry.status for entry in visitor.halo.journal.received("POST", "/client")] == [201, 201, 400]


async def test_a_list_can_be_filtered_by_a_third_party_id_in_newer_versions_only(visit):
    for newer, found in ((True, 1), (False, 31)):
        async with visit(filter_by_third_party=newer) as visitor:
            await visitor.post("/Tickets", [{"summary": "x", "third_party_id_string": "ERP-1"}])
            assert (await visitor.get("/Tickets", third_party_id_string="ERP-1")).json["record_count"] == found


async def test_the_answer_shows_one_moment_however_the_clock_moves_meanwhile(visit):
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]

    def now():
        moment[0] += timedelta(microseconds=1700)
        return moment[0]

    async with visit(now=now) as visitor:
        for _ in range(20):
            answer = (await visitor.post("/Tickets", [{"summary": "x"}])).json
            assert SEVEN_DECIMALS.fullmatch(answer["last_update"])
            assert answer["last_update"] == answer["dateoccurred"]
