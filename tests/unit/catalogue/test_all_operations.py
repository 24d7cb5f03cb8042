"""Every operation of the published file, against expectations that `expectation.py` derived from it in its own way."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.tools.every import check_every
from worker.catalogue.catalogue import load
from worker.catalogue.operation import Body
from worker.catalogue.requests import build_request
from worker.core.exchange import Request

OF_CUSTOM_FIELDS = {"include_custom_fields", "cf_display_values_only"}
ADDED = {
    ("POST", "/Actions"): {"returnall"},
    ("DELETE", "/Actions/{id}"): {"ticket_id"},
    ("GET", "/ClientCache"): {"iscachebuild"},
    **{("GET", f"/{entity}"): OF_CUSTOM_FIELDS for entity in ("Tickets", "Opportunities", "Projects", "Asset", "Client", "Site", "Users")},
}
VALUES = {
    "bool": "true",
    "boolean": "true",
    "int": "7",
    "integer": "7",
    "int64": "7",
    "double": "1.5",
    "List<int>": "1,2",
    "uuid": "12345678-1234-1234-1234-123456789abc",
}
VALUES |= dict.fromkeys(("date", "date-time", "DateTime"), "2026-01-31T08:00:00Z")
RECORD = {"name": "x"}
SENT = {"array": [RECORD], "object": RECORD, "multipart": RECORD, "-": RECORD}


@dataclass(frozen=True)
class Published:
    method: str
    path: str
    path_parameters: dict
    body: str
    query: str
    members: str
    flags: set

    @classmethod
    def of(cls, line):
        method, path, variables, body, query, members, flags = line.split("\t")
        pairs = [] if variables == "-" else [tuple(one.split(":")) for one in variables.split(" ")]
        return cls(method, path, dict(pairs), body, query, members, set(flags.split(" ")) - {"-"})


PUBLISHED = [Published.of(line) for line in Path(__file__).with_name("published.txt").read_text(encoding="utf-8").splitlines()]


def digest(types):
    return hashlib.sha256("\n".join(sorted(f"{name}:{kind}" for name, kind in types.items())).encode()).hexdigest()[:10] if types else "-"


def test_the_catalogue_holds_all_886_paths_and_1331_operations_and_no_others():
    operations = load().operations()
    assert {(one.method, one.path) for one in operations} == {(one.method, one.path) for one in PUBLISHED}
    assert len(operations) == 1331
    assert len({one.path for one in operations}) == 886
    assert Counter(one.method for one in operations) == {"GET": 710, "POST": 411, "DELETE": 210}


def check_published(check):
    check_every(PUBLISHED, check, lambda one: f"{one.method} {one.path}")


def is_found_with_what_is_published(published):
    catalogue = load()
    for name in (published.path, published.path[1:], published.path.upper(), published.path[1:].lower()):
        operation = catalogue.find(name, published.method.lower())
        assert (operation.method, operation.path) == (published.method, published.path)
    assert operation.path_parameters == published.path_parameters
    added = ADDED.get((published.method, published.path), set())
    assert digest({name: kind for name, kind in operation.query_parameters.items() if name not in added}) == published.query
    assert (operation.body.value if operation.body else "-") == published.body
    assert digest(catalogue.body_members(operation)) == published.members


def test_every_operation_is_found_by_its_name_in_any_case_with_what_is_published_of_it():
    check_published(is_found_with_what_is_published)


def lists_as_published(published):
    listing = load().find(published.path, published.method).listing
    if published.method != "GET" or published.path.endswith("}"):
        assert listing is None
    else:
        assert {flag for flag in ("paged", "dated", "ordered") if getattr(listing, flag)} == published.flags


def test_every_list_pages_filters_by_date_and_orders_as_published():
    check_published(lists_as_published)


def is_built_as_published(published):
    operation = load().find(published.path, published.method)
    values = {name: f"AC {number}" for number, name in enumerate(published.path_parameters)}
    sent = {name: VALUES.get(kind, "a&b") for name, kind in operation.query_parameters.items()}
    query = {name.upper(): value for name, value in sent.items()}
    expected = published.path
    for name, value in values.items():
        expected = expected.replace("{" + name + "}", value.replace(" ", "%20"))
    body = SENT[published.body] if published.method == "POST" else None
    built = build_request(operation, values, query, RECORD if published.method == "POST" else None)
    form = published.body == "multipart"
    assert built == Request(published.method, expected, sent, body, form)


def test_the_url_and_the_body_of_every_operation_are_built_as_published():
    check_published(is_built_as_published)


def test_every_list_has_the_operation_that_answers_one_of_its_records_where_it_is_published():
    catalogue = load()
    reads = {one.path for one in PUBLISHED if one.method == "GET"}
    for operation in catalogue.operations():
        details = catalogue.details_of(operation)
        expected = operation.path + "/{id}" if operation.listing else None
        assert (details.path if details else None) == (expected if expected in reads else None)


def test_no_get_or_delete_has_a_body():
    assert {one.method for one in load().operations() if one.body} == {"POST"}
    assert Counter(one.body for one in load().operations() if one.body) == {Body.ARRAY: 284, Body.OBJECT: 68, Body.MULTIPART: 7}
