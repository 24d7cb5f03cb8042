"""How the simulated Halo answers lists."""

import re
from datetime import UTC, datetime, timedelta

import pytest

NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?")


def ids(answer, key="tickets"):
    return [row["id"] for row in answer.json[key]]


async def test_a_ticket_list_without_paging_is_a_window_of_the_newest_fifty(visit):
    async with visit(tickets=120) as visitor:
        answer = await visitor.get("/Tickets")
        assert ids(answer) == list(range(120, 70, -1))
        assert answer.json["record_count"] == 120


async def test_paths_and_parameter_names_are_matched_without_regard_to_case(visit):
    async with visit() as visitor:
        assert (await visitor.get("/tickets", PageInate="true", PAGE_SIZE=3, page_no=2)).json["page_no"] == 2


async def test_a_page_has_at_most_a_hundred_rows_whatever_is_asked_for(visit):
    async with visit(tickets=250) as visitor:
        answer = await visitor.get("/Tickets", pageinate="true", page_size=1000, page_no=1)
        assert len(ids(answer)) == 100
        assert answer.json["record_count"] == 250
        assert len(ids(await visitor.get("/Tickets", pageinate="true", page_size=1000, page_no=3))) == 50


async def test_a_single_entity_may_have_a_cap_of_its_own(visit):
    async with visit(tickets=600, entity_caps={"asset": 50}) as visitor:
        assert len(ids(await visitor.get("/Asset", pageinate="true", page_size=100, page_no=1), "assets")) == 50
        assert len(ids(await visitor.get("/Tickets", pageinate="true", page_size=1000, page_no=1))) == 100


@pytest.mark.parametrize(("path", "key"), [("/Tickets", "tickets"), ("/Asset", "assets"), ("/Users", "users"), ("/Item", "items"), ("/Client", "clients")])
async def test_without_pageinate_a_paged_entity_answers_the_page_of_the_agent_whatever_page_is_asked_for(visit, path, key):
    async with visit(tickets=6000) as visitor:
        for query in ({}, {"page_size": 100, "page_no": 2}, {"paginate": "true", "page_size": 2}, {"pageinate": 1, "page_size": 2}):
            answer = await visitor.get(path, **query)
            assert len(answer.json[key]) == 50, query
            assert answer.json["record_count"] > 50
        assert len((await visitor.get(path, count=55)).json[key]) == 55


async def test_a_list_that_has_no_pages_answers_everything(visit):
    async with visit() as visitor:
        for number in range(60):
            visitor.halo.store.create("Team", {"name": f"Team {number}"})
        assert len((await visitor.get("/Team")).json) == 64


async def test_in_some_versions_a_page_without_its_number_is_the_page_of_the_agent(visit):
    async with visit(tickets=120, page_no_needed=True) as visitor:
        assert len(ids(await visitor.get("/Tickets", pageinate="true", page_size=70))) == 50
        assert len(ids(await visitor.get("/Tickets", pageinate="true", page_size=70, page_no=1))) == 70


async def test_older_versions_have_no_page_cap(visit):
    async with visit(tickets=250, page_cap=None) as visitor:
        assert len(ids(await visitor.get("/Tickets", pageinate="true", page_size=1000, page_no=1))) == 250


async def test_a_page_past_the_end_is_empty(visit):
    async with visit() as visitor:
        answer = await visitor.get("/Tickets", pageinate="true", page_size=20, page_no=9)
        assert (ids(answer), answer.json["record_count"]) == ([], 30)


async def test_the_correct_spelling_of_pageinate_is_ignored(visit):
    async with visit(tickets=60) as visitor:
        assert len(ids(await visitor.get("/Tickets", paginate="true", page_size=2, page_no=1))) == 50


async def test_count_limits_a_list_that_is_not_paged(visit):
    async with visit() as visitor:
        assert ids(await visitor.get("/Tickets", count=2)) == [30, 29]


async def test_unknown_parameters_are_ignored_so_that_a_misspelt_filter_returns_everything(visit):
    async with visit() as visitor:
        assert (await visitor.get("/Tickets", clientid=1)).json["record_count"] == 30


async def test_filters_compare_by_equality_and_lists_of_ids_are_separated_by_commas(visit):
    async with visit(tickets=200) as visitor:
        rows = await visitor.pages("/Tickets", "tickets", 100, status="1,2")
        assert {row["status_id"] for row in rows} == {1, 2}
        assert len(rows) == sum(row["status_id"] in (1, 2) for row in visitor.halo.store.rows("Tickets"))
        one = await visitor.pages("/Tickets", "tickets", 100, client_id=3)
        assert {row["client_id"] for row in one} == {3}


async def test_open_only_leaves_closed_tickets_out(visit):
    async with visit() as visitor:
        rows = await visitor.pages("/Tickets", "tickets", 50, open_only="true")
        assert rows
        assert all("hasbeenclosed" not in row for row in rows)


async def test_a_boolean_counts_only_as_the_word_true(visit):
    async with visit() as visitor:
        words = await visitor.get("/Asset", order="inventory_number", orderdesc="true", count=1)
        number = await visitor.get("/Asset", order="inventory_number", orderdesc=1, count=1)
        assert (ids(words, "assets"), ids(number, "assets")) == ([40], [1])


async def test_a_number_that_is_none_is_400_keyed_by_the_parameter(visit):
    async with visit() as visitor:
        answer = await visitor.get("/Tickets", client_id="probe")
        assert (answer.status, answer.json) == (400, {"client_id": ["The value 'probe' is not valid."]})


async def test_search_looks_into_the_text_and_search_summary_into_one_field(visit):
    async with visit() as visitor:
        visitor.halo.store.update("Tickets", 7, {"summary": "Needle in here"})
        assert ids(await visitor.get("/Tickets", search="NEEDLE")) == [7]
        assert ids(await visitor.get("/Tickets", search_summary="needle")) == [7]


async def test_advanced_search_finds_by_equality_and_refuses_unknown_filters(visit):
    async with visit() as visitor:
        found = await visitor.get("/Asset", advanced_search='[{"filter_name":"inventory_number","filter_type":2,"filter_value":"PC000003"}]')
        assert ids(found, "assets") == [3]
        refused = await visitor.get("/Asset", advanced_search='[{"filter_name":"nonsense","filter_type":2,"filter_value":"x"}]')
        assert (refused.status, refused.json) == (400, "Invalid advanced search parameter")


@pytest.mark.parametrize(
    ("path", "key"),
    [("/Client", "clients"), ("/Site", "sites"), ("/Users", "users"), ("/Asset", "assets"), ("/Supplier", "suppliers"), ("/KBArticle", "articles")],
)
async def test_paged_entities_come_in_an_envelope_of_their_own(visit, path, key):
    async with visit() as visitor:
        answer = (await visitor.get(path, pageinate="true", page_size=5, page_no=1)).json
        assert (len(answer[key]), answer["page_no"], answer["page_size"]) == (5, 1, 5)
        assert answer["record_count"] > 5


@pytest.mark.parametrize("path", ["/Agent", "/Team", "/Status", "/Priority", "/TicketType", "/Webhook", "/CustomTable", "/Lookup"])
async def test_other_entities_come_as_a_bare_array_which_takes_no_notice_of_pages(visit, path):
    async with visit() as visitor:
        whole = (await visitor.get(path)).json
        assert isinstance(whole, list)
        paged = (await visitor.get(path, pageinate="true", page_size=1, page_no=2)).json
        assert (paged["results"] if path == "/Agent" else paged) == whole


async def test_agents_come_as_results_when_pages_are_asked_for(visit):
    async with visit() as visitor:
        assert (await visitor.get("/Agent", page_no=1)).json["results"]
        assert isinstance((await visitor.get("/Agent")).json, list)
    async with visit(agent_results=False) as visitor:
        assert isinstance((await visitor.get("/Agent", page_no=1)).json, list)


async def test_a_paged_list_whose_key_is_not_known_comes_as_results_and_one_as_a_tree(visit):
    async with visit() as visitor:
        assert (await visitor.get("/ExternalLink")).json == {"record_count": 0, "results": []}
        assert (await visitor.get("/TopLevel")).json["tree"]
        assert (await visitor.get("/EmailAddressBook", pageinate="true")).json == []


async def test_an_entity_without_seeded_records_answers_an_empty_list(visit):
    async with visit() as visitor:
        assert (await visitor.get("/SalesOrder")).json == {"record_count": 0, "salesorders": []}
        assert (await visitor.get("/Holiday")).json == []


async def test_lists_are_thin_and_details_have_what_is_nested(visit):
    async with visit() as visitor:
        assert "customfields" not in (await visitor.get("/Tickets", count=1)).json["tickets"][0]
        assert "customfields" not in (await visitor.get("/Tickets/4")).json
        details = (await visitor.get("/Tickets/4", IncludeDetails="True")).json
        assert [field["name"] for field in details["customfields"]] == ["CFexternalReference", "CFbuilding", "CFgoLive"]


async def test_single_custom_fields_can_be_had_in_a_list(visit):
    async with visit() as visitor:
        row = (await visitor.get("/Tickets", count=1, include_custom_fields="113,201")).json["tickets"][0]
        assert [field["id"] for field in row["customfields"]] == [113, 201]


async def test_fields_of_assets_can_be_had_in_a_list(visit):
    async with visit() as visitor:
        assert "fields" not in (await visitor.get("/Asset", count=1)).json["assets"][0]
        row = (await visitor.get("/Asset", count=1, includeassetfields="true")).json["assets"][0]
        assert [field["name"] for field in row["fields"]] == ["Product", "Purchased", "Serial number", "Memory"]


async def test_the_stamp_is_called_lastupdate_in_lists_and_last_update_in_details(visit):
    async with visit() as visitor:
        row, one = (await visitor.get("/Tickets", count=1)).json["tickets"][0], (await visitor.get("/Tickets/30")).json
        assert row["lastupdate"] == one["last_update"]
        assert "last_update" not in row
        assert "lastupdate" not in one
        assert row["useremail"] == one["user_email"]


async def test_dates_are_naive_with_at_most_three_decimals_and_1900_means_unset(visit):
    async with visit() as visitor:
        row = (await visitor.get("/Tickets", count=1)).json["tickets"][0]
        assert NAIVE.fullmatch(row["dateoccurred"])
        assert row["deadlinedate"] == "1900-01-01T00:00:00"


async def test_null_members_are_left_out(visit):
    async with visit() as visitor:
        rows = (await visitor.get("/Tickets")).json["tickets"]
        assert all(value is not None for row in rows for value in row.values())
        assert any("dateclosed" not in row for row in rows)


async def test_the_client_of_a_site_comes_as_a_float(visit):
    async with visit() as visitor:
        assert b'"client_id":1.0,' in (await visitor.get("/Site", count=1)).body


async def test_ids_only_gives_ids_of_everything(visit):
    async with visit(tickets=120) as visitor:
        assets = (await visitor.get("/Asset", idonly="true")).json
        assert assets["assets"][0] == {"id": 1}
        assert (await visitor.get("/Tickets", ticketidonly="true")).json["ticket_ids"] == list(range(120, 0, -1))


async def test_active_flags_choose_between_active_and_inactive(visit):
    async with visit() as visitor:
        everything, active, inactive = [
            (await visitor.get("/Client", **flags)).json["record_count"]
            for flags in ({}, {"includeactive": "true", "includeinactive": "false"}, {"includeactive": "false", "includeinactive": "true"})
        ]
        visitor.halo.store.update("Client", 2, {"inactive": True})
        assert everything == active + inactive
        assert (await visitor.get("/Client", includeinactive="false")).json["record_count"] == active - 1
        assert all(not agent["isdisabled"] for agent in (await visitor.get("/Agent", includedisabled="false")).json)
        assert [agent["id"] for agent in (await visitor.get("/Agent", includeunassigned="false")).json] == list(range(2, 11))


async def test_priorities_are_rows_per_sla_whose_id_is_a_guid(visit):
    async with visit() as visitor:
        rows = (await visitor.get("/Priority")).json
        assert [row["priorityid"] for row in rows] == [1, 2, 3, 4, 1, 2, 3, 4, 5]
        assert (await visitor.get(f"/Priority/{rows[0]['id']}")).json["name"] == "Critical"
        assert (await visitor.get("/Priority/3")).status == 404


async def test_hidden_records_are_left_out_without_a_word(visit):
    async with visit() as visitor:
        visitor.halo.store.hide("Tickets", 30)
        assert ids(await visitor.get("/Tickets", count=1)) == [29]
        assert (await visitor.get("/Tickets")).json["record_count"] == 29
        assert (await visitor.get("/Tickets/30")).status == 404


async def test_actions_need_a_ticket_count_from_one_within_it_and_come_newest_first(visit):
    async with visit() as visitor:
        assert (await visitor.get("/Actions")).json["actions"] == []
        for _ in range(2):
            await visitor.post("/Tickets", [{"summary": "x"}])
        for ticket in (31, 32):
            for _ in range(2):
                await visitor.post("/Actions", [{"ticket_id": ticket, "outcome": "Internal Note", "note": "n"}])
            listed = (await visitor.get("/Actions", ticket_id=ticket)).json
            assert (listed["ticket_id"], listed["record_count"], [row["id"] for row in listed["actions"]]) == (ticket, 2, [2, 1])
        assert (await visitor.get("/Actions/2", ticket_id=32)).json["ticket_id"] == 32
        assert (await visitor.get("/Actions/2")).status == 404


async def test_actions_of_all_tickets_can_be_had_for_one_day_at_most(visit):
    async with visit() as visitor:
        store, noon = visitor.halo.store, datetime(2020, 6, 1, 12, tzinfo=UTC)
        for ticket, hours in ((3, 0), (4, 1), (5, 13)):
            store.create("Actions", {"ticket_id": ticket, "outcome_id": 7}, stamp=noon + timedelta(hours=hours))
        day = await visitor.get("/Actions", startdate="2020-06-01T00:00:00", enddate="2020-06-02T00:00:00")
        assert [row["ticket_id"] for row in day.json["actions"]] == [4, 3]
        assert (await visitor.get("/Actions", startdate="2020-06-01", enddate="2020-06-04")).json["actions"] == []
        seeded = store.rows("Tickets")
        first = next(ticket for ticket in seeded if list(store.rows("Actions", ticket["id"])))
        around = {"startdate": (first["dateoccurred"] + timedelta(minutes=1)).isoformat(), "enddate": (first["dateoccurred"] + timedelta(hours=4)).isoformat()}
        assert {row["ticket_id"] for row in (await visitor.get("/Actions", **around)).json["actions"]} == {first["id"]}


async def test_changes_of_assets_need_an_asset(visit):
    async with visit() as visitor:
        visitor.halo.store.create("AssetChange", {"asset_id": 3})
        assert (await visitor.get("/AssetChange")).json["changehistory"] == []
        assert len((await visitor.get("/AssetChange", asset_id=3)).json["changehistory"]) == 1


async def test_event_numbers_are_a_lookup(visit):
    async with visit() as visitor:
        names = {row["id"]: row["name"] for row in (await visitor.get("/Lookup", lookupid=64)).json}
        assert names[3].startswith("New Ticket Logged")


async def test_lookups_without_a_scope_are_those_of_all_lists_and_share_ids(visit):
    async with visit() as visitor:
        rows = (await visitor.get("/Lookup")).json
        assert {row["lookupid"] for row in rows} == {17, 22, 64}
        assert len({(row["lookupid"], row["id"]) for row in rows}) == len(rows) > len({row["id"] for row in rows})
        assert (await visitor.get("/Lookup/1072")).json["lookupid"] == 64
        assert (await visitor.get("/Lookup/3", lookupid=17)).json["name"] == "No charge"


@pytest.mark.parametrize(
    ("path", "key", "id_"),
    [
        ("/Timesheet", ("agent_id", "date"), "zero"),
        ("/Timesheet/forecasting", ("agent_id",), "zero"),
        ("/AssetTypeInfo", ("typeinfo_id", "id"), "repeats"),
        ("/workflowstep", ("fdid", "step_id"), "absent"),
        ("/OnlineStatus", ("techID",), "absent"),
    ],
)
async def test_in_some_lists_the_id_does_not_identify_a_row(visit, path, key, id_):
    async with visit() as visitor:
        rows = (await visitor.get(path)).json
        assert len({tuple(row[member] for member in key) for row in rows}) == len(rows) > 5
        shown = [row.get("id") for row in rows]
        assert {"zero": set(shown) == {0}, "absent": set(shown) == {None}, "repeats": 1 < len(set(shown)) < len(rows)}[id_]


async def test_tickets_opportunities_and_projects_share_their_ids(visit):
    async with visit() as visitor:
        made = [(await visitor.post(path, [{"summary": "x"}])).json["id"] for path in ("/Opportunities", "/Tickets", "/Projects", "/Tickets")]
        assert made == [31, 32, 33, 34]


async def test_the_target_date_is_unset_on_nearly_every_ticket(visit):
    async with visit(tickets=1500) as visitor:
        rows = await visitor.pages("/Tickets", "tickets", 100)
        assert sum(row["targetdate"] != "1900-01-01T00:00:00" for row in rows) == 1
        assert all(row["fixbydate"] > row["dateoccurred"] for row in rows)


async def test_the_address_lines_of_a_site_come_when_they_are_asked_for(visit):
    async with visit() as visitor:
        row = (await visitor.get("/Site", count=1, includeaddress="true")).json["sites"][0]
        assert row["delivery_address_line1"] == "1 High Street"
        assert [type(row[f"delivery_address_line{number}"]) for number in range(1, 6)] == [str] * 5
        assert "delivery_address_line1" not in (await visitor.get("/Site", count=1)).json["sites"][0]


async def test_rows_carry_the_members_that_other_clients_read(visit):
    async with visit() as visitor:
        assert all(row["ticket_count"] >= 0 for row in (await visitor.get("/Team")).json)
        assert all(row["workflow_id"] for row in (await visitor.get("/TicketType")).json)
        assert all(row["colour"].startswith("#") for row in (await visitor.get("/Priority")).json)
        sla = (await visitor.get("/SLA/2", includedetails="true")).json
        assert [row["priorityid"] for row in sla["priorities"]] == [1, 2, 3, 4, 5]
        assert "priorities" not in (await visitor.get("/SLA")).json[0]
        assert (await visitor.get("/SLA", showpriorities="true")).json[0]["priorities"]


async def test_attachments_need_a_ticket_an_action_or_a_type(visit):
    async with visit() as visitor:
        await visitor.post("/Attachment", [{"ticket_id": 3, "filename": "a.txt", "data_base64": "aGVsbG8="}])
        bare = (await visitor.get("/Attachment")).json
        assert (bare["attachments"], bare["folders"]) == ([], [])
        assert len((await visitor.get("/Attachment", type=0)).json["attachments"]) == 1
        assert (await visitor.get("/Attachment", type=1)).json["attachments"] == []


async def test_the_cache_of_the_user_interface_is_one_object(visit):
    async with visit() as visitor:
        cache = (await visitor.get("/ClientCache", iscachebuild="true")).json
        assert {len(cache[name]) > 0 for name in ("agents", "teams", "statuses", "tickettypes", "priorities", "lookups", "fields")} == {True}
        assert cache["mailboxes"] == []


async def test_some_lists_answer_every_page_with_the_first(visit):
    async with visit() as visitor:
        for number in range(3):
            visitor.halo.store.create("CRMNote", {"note": f"Note {number}"})
        first, second = [(await visitor.get("/CRMNote", pageinate="true", page_size=2, page_no=page)).json for page in (1, 2)]
        assert first == second


async def test_the_feed_is_read_by_ids(visit):
    async with visit() as visitor:
        for _ in range(4):
            visitor.halo.store.create("Feed", {})
        assert [row["id"] for row in (await visitor.get("/Feed", count=2)).json] == [4, 3]
        assert [row["id"] for row in (await visitor.get("/Feed", older_than_id=3)).json] == [2, 1]
        assert [row["id"] for row in (await visitor.get("/Feed", newer_than_id=3)).json] == [4]


async def test_ticket_lists_have_names_of_customers_and_ids_alone_of_agents_and_statuses(visit):
    async with visit() as visitor:
        row = (await visitor.get("/Tickets", count=1)).json["tickets"][0]
        assert {"client_name", "site_name", "user_name", "status_id", "agent_id", "priority_id"} <= set(row)
        assert {"status_name", "agent_name", "priority_name"} & set(row) == set()


async def test_some_paths_are_broken_and_some_forbidden_as_in_life(visit):
    async with visit() as visitor:
        assert (await visitor.get("/Addressbook")).status == 500
        assert (await visitor.get("/IncomingEvent")).status == 403
        assert (await visitor.get("/ClientCache")).status == 500
