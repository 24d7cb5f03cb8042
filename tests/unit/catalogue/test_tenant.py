"""A tenant's own OpenAPI file becomes a catalogue, and a catalogue becomes such a file."""

import json

import orjson
import pytest

from tests.tools.every import every
from worker.catalogue.catalogue import load
from worker.catalogue.difference import CatalogueDifference, differences
from worker.catalogue.errors import NotOpenApi
from worker.catalogue.openapi import openapi_document
from worker.catalogue.operation import Body
from worker.catalogue.published import PARAMETER
from worker.catalogue.tenant import parse_openapi

ENDLESS = {"$ref": "#/components/schemas/A"}


@pytest.fixture(scope="module")
def published():
    return orjson.dumps(openapi_document(load()))


@pytest.fixture
def document(published):
    return json.loads(published)


def parsed(document):
    return parse_openapi(json.dumps(document).encode())


def test_the_file_of_a_catalogue_makes_the_same_catalogue(published):
    again = parse_openapi(published)
    assert again.data == load().data
    assert list(differences(load(), again)) == []


def test_a_byte_order_mark_is_no_content(published):
    assert parse_openapi(b"\xef\xbb\xbf" + published).data == load().data


def test_paths_may_begin_with_the_address_of_the_api(document):
    document["paths"] = {f"/API{path}": facts for path, facts in document["paths"].items()}
    assert parsed(document).data["paths"] == load().data["paths"]


def test_the_file_is_in_the_form_that_tools_for_openapi_read(document):
    assert document["openapi"] == "3.0.1"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == set(PARAMETER.findall(path))
            assert operation["responses"]["200"]["description"]


def test_what_halo_knows_but_does_not_publish_is_known_beside_every_file():
    catalogue = parsed({"paths": {path: {"get": {}} for path in ("/Tickets", "/Lookup", "/ClientCache")}})
    tickets = catalogue.find("Tickets", "GET")
    assert tickets.query_parameters == {"cf_display_values_only": "bool", "include_custom_fields": "List<int>"}
    assert tickets.listing.key == "tickets"
    assert catalogue.find("ClientCache", "GET").query_parameters == {"iscachebuild": "bool"}
    assert catalogue.find("Lookup", "GET").key == ("lookupid", "id")


def test_each_difference_is_told_with_its_place(document):
    paths = document["paths"]
    paths["/BrandNew/{id}"] = {"get": {"parameters": []}}
    del paths["/Actions/reaction"]
    tickets = paths["/Tickets"]
    tickets["get"]["parameters"] = [one for one in tickets["get"]["parameters"] if one["name"] != "mine"]
    tickets["get"]["parameters"].append({"name": "newer", "in": "query", "schema": {"type": "bool"}})
    next(one for one in tickets["get"]["parameters"] if one["name"] == "client_id")["schema"]["type"] = "string"
    schema = tickets["post"]["requestBody"]["content"]["application/json"]["schema"]
    tickets["post"]["requestBody"]["content"]["application/json"]["schema"] = schema["items"]
    theirs = parsed(document)
    assert list(differences(load(), theirs)) == [
        CatalogueDifference("removed", "POST", "/Actions/reaction"),
        CatalogueDifference("added", "GET", "/BrandNew/{id}"),
        CatalogueDifference("changed", "GET", "/Tickets", "query", "client_id", "int", "string"),
        CatalogueDifference("removed", "GET", "/Tickets", "query", "mine", "bool", None),
        CatalogueDifference("added", "GET", "/Tickets", "query", "newer", None, "bool"),
        CatalogueDifference("changed", "POST", "/Tickets", "body", None, "array", "object"),
    ]
    assert theirs.find("tickets", "POST").body is Body.OBJECT
    assert theirs.find("BrandNew/{id}", "GET").path_parameters == {"id": "string"}, "the file forgot it"


@every(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"<html>", "is not JSON"),
        (b"[]", "has no `paths`"),
        (b'{"paths": {}}', "has no `paths`"),
        (b'{"paths": []}', "has no `paths`"),
        (b'{"swagger": "2.0", "paths": {"/a": {"get": {}}}}', "OpenAPI 2"),
        (b'{"paths": {"/a": {}, "b": {"get": {}}}}', "none of its paths"),
        (b'{"paths": {"/../a": {"get": {}}}}', "none of its paths"),
        (b'{"paths": {"/a": {"get": []}}}', "another form"),
        (b'{"paths": {"/a": {"get": {"parameters": [{"in": "query"}]}}}}', "another form"),
        (b'{"paths": {"/a": {"get": {"parameters": 7}}}}', "another form"),
        (b'{"paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/nowhere"}}}}}}}}', "another form"),
        (
            orjson.dumps(
                {"paths": {"/a": {"get": {"parameters": [{"in": "query", "name": "q", "schema": ENDLESS}]}}}, "components": {"schemas": {"A": ENDLESS}}}
            ),
            "another form",
        ),
    ],
)
def test_what_is_no_openapi_file_of_halo_is_refused_with_its_reason(content, reason):
    with pytest.raises(NotOpenApi, match=reason):
        parse_openapi(content)
