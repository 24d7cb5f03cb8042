"""What bodies take, member by member, and which JSON values fit."""

from tests.tools.every import every
from worker.catalogue.catalogue import Catalogue, load
from worker.catalogue.members import Schemas, body_misfit
from worker.catalogue.operations import read_data, read_schemas

SCHEMAS = {"Box": {"integer": "Id", "[]Lid": "lids", "Box": "inner", "any": "rest"}, "Lid": {"string": "name", "[]integer": "sizes"}}


def test_members_are_found_without_regard_to_case_and_lead_to_what_they_hold():
    box = Schemas(lambda: SCHEMAS).find("Box")
    assert [box.kind(name) for name in ("id", "LIDS", "lid")] == ["integer", "[]Lid", None]
    lid = box.inside("[]Lid")
    assert lid is not None
    assert lid.kinds == {"name": "string", "sizes": "[]integer"}
    assert box.inside("Box") == box
    assert [box.inside(kind) for kind in ("integer", "any", "[]integer")] == [None, None, None]


@every(
    ("kind", "good", "bad"),
    [
        ("integer", [0, "7", -1, None, ""], ["abc", 12.0, 12.5, True, [1], {}]),
        ("int64", [2**62], ["x", 2**70]),
        ("number", [1, 1.5, "2.5", None], ["a lot", False, []]),
        ("boolean", [True, "true", "False", 0, 1], ["yes", "1", []]),
        ("date-time", ["2026-01-31", "2026-01-31T08:00:00Z", None], ["31/01/2026", "2026-02-30", 5, {}]),
        ("uuid", ["0b5ad3f6-43ab-4d2c-8d8e-2f0a3f3b2a11"], ["12", []]),
        ("string", ["a", 12, True, None], [{}, []]),
        ("any", [{}, [], "a", 1], []),
        ("object", [{}, [], "a"], []),
        ("binary", ["YQ==", {"data_base64": "YQ=="}], []),
    ],
)
def test_a_value_fits_where_halo_can_read_it(kind, good, bad):
    assert [value for value in good if body_misfit(kind, value)] == []
    assert [value for value in bad if not body_misfit(kind, value)] == []


def test_a_misfit_never_quotes_the_value():
    assert "planted" not in str(body_misfit("integer", "planted")) + str(body_misfit("date-time", "planted"))


def test_every_kind_is_a_type_or_a_schema():
    catalogue = load()
    schemas = catalogue.data["schemas"]
    kinds = {kind.removeprefix("[]") for groups in schemas.values() for kind in groups}
    types = {"any", "binary", "boolean", "byte", "date-span", "date-time", "int64", "integer", "number", "object", "string", "uri", "uuid"}
    assert kinds <= types | schemas.keys()
    assert types.isdisjoint(schemas)


def test_the_members_are_read_only_when_they_are_asked_for():
    asked = []
    made = Catalogue(read_data(), lambda: asked.append(1) or read_schemas())
    operation = made.find("Asset", "POST")
    assert asked == []
    assert operation.members is not None
    assert made.find("Asset", "GET").members is None
    assert made.body_members(operation)["fields"] == "array"
    assert asked == [1]
