"""The generator, on a small made-up API whose expected data was checked by eye, and on the committed data."""

import json
from pathlib import Path

import pytest

from tests.tools.every import every
from worker.catalogue.aliases import alias_table, other_numbers
from worker.catalogue.catalogue import Catalogue
from worker.catalogue.generate import DATA, main, text_of
from worker.catalogue.operation import Body, Listing

HERE = Path(__file__).parent
EXPECTED = (HERE / "tiny_data.json").read_text(encoding="utf-8")
EXPECTED_SCHEMAS = (HERE / "tiny_schemas.json").read_text(encoding="utf-8")


def generate(tmp_path, openapi, *endpoints):
    output = tmp_path / "data.json"
    assert main([str(openapi), *map(str, endpoints), "--output", str(output)]) == 0
    return output.read_text(encoding="utf-8")


def reversed_members(value):
    return {name: reversed_members(value[name]) for name in reversed(value)} if isinstance(value, dict) else value


def test_the_data_is_made_from_the_published_file_and_what_is_known_of_lists(tmp_path, capsys):
    assert generate(tmp_path, HERE / "tiny_openapi.json", HERE / "tiny_endpoints.json") == EXPECTED
    assert (tmp_path / "schemas.json").read_text(encoding="utf-8") == EXPECTED_SCHEMAS
    printed = capsys.readouterr().out
    assert "8 paths" in printed
    assert "3 schemas" in printed


def test_the_order_of_the_published_file_does_not_matter(tmp_path):
    document = json.loads((HERE / "tiny_openapi.json").read_text(encoding="utf-8"))
    shuffled = tmp_path / "shuffled.json"
    shuffled.write_text(json.dumps(reversed_members(document)), encoding="utf-8")
    assert generate(tmp_path, shuffled, HERE / "tiny_endpoints.json") == EXPECTED
    assert (tmp_path / "schemas.json").read_text(encoding="utf-8") == EXPECTED_SCHEMAS


def test_without_facts_about_lists_those_of_the_present_data_are_kept(tmp_path):
    document = tmp_path / "openapi.json"
    document.write_text('{"paths": {"/Supplier": {"get": {}}, "/NewThing": {"get": {}}}, "components": {"schemas": {}}}', encoding="utf-8")
    paths = json.loads(generate(tmp_path, document))["paths"]
    assert paths == {"/NewThing": {"get": {}}, "/Supplier": {"get": {"rows": "suppliers"}}}


def test_a_newer_file_that_describes_answers_tells_where_the_rows_of_new_lists_are(tmp_path):
    rows, count = {"type": "array", "items": {"$ref": "#/components/schemas/One"}}, {"type": "integer"}
    schemas = {
        "Clear": {"record_count": count, "things": rows, "ids": {"type": "array", "items": count}},
        "Unclear": {"record_count": count, "a": rows, "b": rows},
        "Uncounted": {"a": rows},
    }
    answers = {name: {"200": {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}} for name in schemas}
    document = {
        "paths": {f"/{name}": {"get": {"responses": answer}} for name, answer in answers.items()} | {"/Tickets": {"get": {"responses": answers["Clear"]}}},
        "components": {"schemas": {name: {"properties": members} for name, members in schemas.items()}},
    }
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    paths = json.loads(generate(tmp_path, file))["paths"]
    assert {path: facts["get"].get("rows") for path, facts in paths.items()} == {
        "/Clear": "things",
        "/Unclear": None,
        "/Uncounted": None,
        "/Tickets": "tickets",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is not JSON"), ("[]", "is not an OpenAPI 3 file: it needs paths and components"), ('{"swagger": "2.0", "paths": {}}', "is not an OpenAPI 3 file")],
)
def test_a_file_that_is_no_openapi_is_refused_in_a_sentence(tmp_path, capsys, text, problem):
    file = tmp_path / "wrong.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main([str(file), "--output", str(tmp_path / "data.json")])
    assert ended.value.code == 2
    assert f"{file} {problem}" in capsys.readouterr().err
    assert not (tmp_path / "data.json").exists()


@pytest.mark.parametrize(("name", "limit"), [("data.json", 200_000), ("schemas.json", 400_000)])
def test_the_committed_data_is_as_the_generator_writes_it_and_of_bounded_size(name, limit):
    text = DATA.with_name(name).read_text(encoding="utf-8")
    assert text_of(json.loads(text)) == text
    assert len(text.encode()) < limit


def test_a_catalogue_reads_what_was_generated():
    catalogue = Catalogue({**json.loads(EXPECTED), **json.loads(EXPECTED_SCHEMAS)})
    widgets = catalogue.find("gadget", "GET")
    assert widgets.query_parameters == {"anything": "any", "pageinate": "bool", "shape": "int", "since": "date-time"}
    assert list(widgets.query_parameters) == ["anything", "pageinate", "shape", "since"]
    assert widgets.listing == Listing("widgets", paged=True)
    assert catalogue.find("widgets/{id}", "GET").path_parameters == {"id": "int64"}
    assert catalogue.find("widgets/{id}", "DELETE").path_parameters == {"id": "integer"}
    bodies = {name: catalogue.find(name, "POST").body for name in ("Widgets", "Box", "Box/image", "Box/ids", "Box/text", "Box/open")}
    assert list(bodies.values()) == [Body.ARRAY, Body.OBJECT, Body.MULTIPART, Body.ARRAY, None, None]
    assert catalogue.body_members(catalogue.find("Widgets", "POST"))["kind"] == "integer"
    assert catalogue.body_members(catalogue.find("Box/ids", "POST")) == {}


@every(
    ("name", "other"),
    [
        ("Asset", "Assets"),
        ("Category", "Categories"),
        ("Survey", "Surveys"),
        ("Status", "Statuses"),
        ("Address", "Addresses"),
        ("Tax", "Taxes"),
        ("Tickets", "Ticket"),
        ("Opportunities", "Opportunity"),
    ],
)
def test_an_entity_is_known_by_its_other_number(name, other):
    assert list(other_numbers(name)) == [other]


def test_uncounted_names_have_no_other_number():
    assert [other for name in ("JiraDetails", "HaloNews", "VersionInfo") for other in other_numbers(name)] == []


def test_a_name_that_two_entities_would_share_is_no_alias():
    assert alias_table(["Box", "Boxe", "Lid"], {}) == {"Lids": "Lid"}


def test_an_alias_that_could_mean_two_entities_or_is_one_is_left_out():
    table = alias_table(
        ["Notification", "Notifications", "Asset", "Client", "SupplierContract"],
        {"Thing": ["Asset", "Client"], "Contract": ["SupplierContract"], "Device": ["Asset"]},
    )
    assert table == {
        "Assets": "Asset",
        "Clients": "Client",
        "Customer": "Client",
        "Customers": "Client",
        "Device": "Asset",
        "SupplierContracts": "SupplierContract",
    }
