"""Operations by name: aliases, and what is said of names that do not exist."""

import pytest

from tests.tools.every import every
from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Body, Listing


def problem(entity, method="GET"):
    with pytest.raises((UnknownEntity, MethodNotAllowed)) as caught:
        load().find(entity, method)
    return str(caught.value)


@every(
    ("name", "path"),
    [
        ("Assets", "/Asset"),
        ("clients", "/Client"),
        ("STATUSES", "/Status"),
        ("Categories", "/Category"),
        ("Ticket", "/Tickets"),
        ("Opportunity", "/Opportunities"),
        ("Knowledge Base Articles", "/KBArticle"),
        ("Quotes", "/Quotation"),
        ("Contracts", "/ClientContract"),
        ("Customers", "/Client"),
        ("Faults", "/Tickets"),
        ("Device", "/Asset"),
        ("Area", "/Client"),
        ("Uname", "/Agent"),
        ("assets/{ID}", "/Asset/{id}"),
        ("/Action/{Id}/", "/Actions/{id}"),
    ],
)
def test_reference_headings_plurals_and_internal_names_lead_to_the_entity(name, path):
    assert load().find(name, "get").path == path


def test_an_alias_never_hides_an_entity():
    catalogue = load()
    entities = {operation.resource for operation in catalogue.operations()}
    assert not entities & {alias.lower() for alias in catalogue.aliases}
    assert {entity.lower() for entity in catalogue.aliases.values()} <= entities


def test_notification_and_notifications_stay_two_entities():
    assert load().find("Notification", "GET").path == "/Notification"
    assert load().find("Notifications", "GET").path == "/Notifications"


def test_a_misspelt_entity_is_refused_with_the_nearest_names():
    assert problem("Tickts").startswith("there is no entity 'Tickts'; did you mean Tickets or ")
    assert "did you mean Asset/{id} or " in problem("Aset/{id}", "DELETE")
    assert "ClientContract" in problem("Contract")


@pytest.mark.parametrize("name", ["Client/12", "Client/{client_id}", "/clients/AC12"])
def test_a_value_or_another_name_where_a_parameter_stands_is_refused_with_the_published_form(name):
    assert "did you mean Client/{id}? (keep the names in braces, and write their values under request.path)" in problem(name)


def test_a_name_like_no_other_is_refused_with_the_way_to_all_names():
    assert problem("xyzzy") == "there is no entity 'xyzzy'; `halo-worker entities` shows all"
    assert problem("") == "there is no entity ''; `halo-worker entities` shows all"


def test_an_unknown_path_below_a_known_entity_is_answered_with_those_it_has():
    assert problem("Team/frobnicate/everything/now") == "there is no entity 'Team/frobnicate/everything/now'; there is Team, Team/Tree, Team/{id}"


def test_a_method_that_the_path_lacks_is_refused_with_the_path_that_has_it():
    assert problem("Asset", "DELETE") == "Asset has no DELETE (it has GET, POST); Asset/{id} has"
    assert problem("device/{id}", "POST") == "Asset/{id} has no POST (it has GET, DELETE); Asset has"
    assert problem("Health", "DELETE") == "Health has no DELETE (it has GET)"


def test_methods_that_halo_does_not_use_are_refused_with_what_to_do_instead():
    assert problem("Tickets", "PUT") == "Halo has no PUT: a POST of a record with its id changes it; Tickets has GET, POST"
    assert problem("Tickets", "HEAD") == "Halo has no HEAD; Tickets has GET, POST"


def test_two_published_forms_of_one_url_are_distinguished_by_the_parameter():
    assert load().find("Automation/{runbookid}", "POST").path_parameters == {"runbookId": "uuid"}
    assert load().find("Automation/{id}", "GET").path_parameters == {"id": "integer"}


@pytest.mark.parametrize(
    ("entity", "listing"),
    [
        ("Tickets", Listing("tickets", paged=True, dated=True, ordered=True)),
        ("Asset", Listing("assets", paged=True, dated=True, ordered=True)),
        ("Actions", Listing("actions")),
        ("Supplier", Listing("suppliers", paged=True, ordered=True)),
        ("Team", Listing()),
    ],
)
def test_what_is_known_of_a_list(entity, listing):
    assert load().find(entity, "GET").listing == listing


@pytest.mark.parametrize(
    ("entity", "key"),
    [
        ("Actions", ("ticket_id", "id")),
        ("Actions/{id}", ("ticket_id", "id")),
        ("Lookup", ("lookupid", "id")),
        ("TicketApproval", ("ticket_id", "seq")),
        ("Priority", ("id",)),
        ("Tickets", ("id",)),
    ],
)
def test_records_are_identified_by_members_that_make_them_unique(entity, key):
    assert load().find(entity, "GET").key == key


def test_the_members_of_a_body_are_known_with_their_types():
    catalogue = load()
    members = catalogue.body_members(catalogue.find("Tickets", "POST"))
    assert (members["summary"], members["client_id"], members["dateoccurred"], members["customfields"]) == ("string", "integer", "date-time", "array")
    assert catalogue.body_members(catalogue.find("Tickets", "GET")) == {}


def test_an_unknown_query_parameter_is_reported_with_the_nearest_ones():
    catalogue = load()
    tickets = catalogue.find("Tickets", "GET")
    assert catalogue.check_query(tickets, ["pageinate", "PAGE_SIZE", "LastUpdateFromDate"]) == []
    assert catalogue.check_query(tickets, ["paginate"]) == [
        "GET Tickets has no query parameter 'paginate' (Halo would ignore it; if yours knows it, name it in `allow_unknown`); did you mean pageinate?"
    ]
    assert catalogue.check_query(catalogue.find("Team", "POST"), ["x"]) == [
        "POST Team has no query parameter 'x' (Halo would ignore it; if yours knows it, name it in `allow_unknown`); it has none"
    ]
    told = catalogue.check_query(tickets, ["zzz", "qqq"])
    assert len(told) == 2
    assert told[0].endswith(" more")


def test_the_published_spelling_of_a_query_parameter_is_given():
    catalogue = load()
    assert catalogue.find("Tickets", "GET").canonical_query("Page_Size") == "page_size"
    assert catalogue.find("Consignment/{id}", "DELETE").canonical_query("deleteorder") == "deleteOrder"
    assert catalogue.find("Tickets", "GET").canonical_query("Newer") == "Newer"


def test_an_operation_that_is_not_published_takes_its_parameters_from_the_braces():
    operation = load().unknown("/NewThing/{id}/parts/{part}", "post")
    assert (operation.method, operation.entity) == ("POST", "NewThing/{id}/parts/{part}")
    assert operation.path_parameters == {"id": "string", "part": "string"}
    assert operation.body is Body.ARRAY
    assert load().unknown("NewThing", "GET").listing == Listing()
    assert load().unknown("NewThing/{id}", "GET").listing is None


@every("name", ["", "..", "a/../b", "a//b", "a?b=c", "a b", "{id", "a/{}", "a/{id}/{ID}", "a%2Fb", "http://x", "a#b", "a\nb"])
def test_what_cannot_be_a_path_is_refused_even_when_unknown_ones_are_allowed(name):
    with pytest.raises(UnknownEntity):
        load().unknown(name, "GET")


def test_only_halos_methods_are_allowed_for_unknown_operations():
    with pytest.raises(MethodNotAllowed, match="Halo has no PATCH: write GET, POST or DELETE"):
        load().unknown("NewThing", "PATCH")


def test_search_finds_paths_and_aliases():
    found = {operation.entity for operation in load().search("knowledge base")}
    assert found == {operation.entity for operation in load().operations() if operation.resource == "kbarticle"}
    assert {"Tickets", "Tickets/{id}", "TicketType"} <= {operation.entity for operation in load().search("TICKET")}
    assert load().search("xyzzy") == ()
    assert len(load().search("")) == 1331
