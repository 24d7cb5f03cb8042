"""Extracts the catalogue's facts from a published OpenAPI file of Halo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

METHODS = ("get", "post", "delete")
ARRAY = "[]"
PARAMETER = re.compile(r"\{([^{}]+)\}")
TYPE_IN_WORDS = re.compile(r"\(([\w<> ]+)\)")
DATES = frozenset({"lastupdatefromdate", "lastupdatetodate", "invoicedatestart", "invoicedateend"})  # declared as bool; Halo takes dates
LISTS = {"array of int": "List<int>"}
PLAIN_FORMATS = frozenset({"int32", "float", "double"})  # these add nothing to `integer` and `number`

Document = Mapping[str, Any]


def by_name(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name.lower(), name))


def schema_name(schema: Mapping[str, Any]) -> str | None:
    """Return the last part of a reference; None for an inline schema."""
    reference = schema.get("$ref")
    return None if reference is None else str(reference).rsplit("/", 1)[-1]


def type_of(document: Document, schema: Mapping[str, Any]) -> str:
    """Return the type in one word: the format if it says more (`date-time`, `uuid`, `int64`), Halo's own words (`int`, `bool`) as they are."""
    name = schema_name(schema)
    if name is not None:
        return type_of(document, document["components"]["schemas"][name])
    if "type" not in schema:
        return "object" if "properties" in schema else "any"
    form = schema.get("format", "")
    return str(schema["type"] if not form or form in PLAIN_FORMATS else form)


def parameter_type(document: Document, parameter: Mapping[str, Any]) -> str:
    """Return the type in the schema, corrected by the words in brackets at the start of some parameters' descriptions."""
    if parameter["name"].lower() in DATES:
        return "date"
    words = TYPE_IN_WORDS.match(parameter.get("description") or "")
    said = LISTS.get(words[1], words[1]) if words else "any"
    declared = type_of(document, parameter["schema"]) if "schema" in parameter else said
    if declared == "string" and said in LISTS.values():
        return said
    return "any" if {declared, said} == {"int", "bool"} else declared


def parameters(document: Document, operation: Mapping[str, Any], place: str) -> dict[str, str]:
    """Return the types by name; if an operation repeats a name, the first one counts."""
    found: dict[str, tuple[str, str]] = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == place:
            found.setdefault(parameter["name"].lower(), (parameter["name"], parameter_type(document, parameter)))
    return dict(found.values())


def grouped_by_type(types: Mapping[str, str]) -> dict[str, str]:
    """Return names grouped by type, `{"bool": "a b", "int": "c"}`: half the size, and still readable."""
    return {kind: " ".join(by_name(name for name, its in types.items() if its == kind)) for kind in sorted(set(types.values()))}


def ungrouped(groups: Mapping[str, str]) -> dict[str, str]:
    """Reverse `grouped_by_type`, in the order of names."""
    types = {name: kind for kind, names in groups.items() for name in names.split(" ")}
    return {name: types[name] for name in by_name(types)}


def body_schema(operation: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the shape of the request body and the schema of its content; None without a body, or with a bare JSON text."""
    content = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        return "multipart", content["multipart/form-data"]["schema"]
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None
    if schema.get("type") == "array":
        return "array", schema["items"]
    return ("object", schema) if "$ref" in schema or schema.get("type") == "object" else None


def members(document: Document, schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the members of an object and their kinds, in the form that `worker.catalogue.members` reads."""
    name = schema_name(schema)
    if name is not None:
        return members(document, document["components"]["schemas"][name])
    return {member: member_kind(document, its) for member, its in schema.get("properties", {}).items()}


def member_kind(document: Document, schema: Mapping[str, Any]) -> str:
    """Return the type in one word, or the name of an object's schema; `[]` before either for an array. The content of arrays of arrays is not distinguished."""
    if schema.get("type") == "array":
        inner = member_kind(document, schema.get("items", {}))
        return ARRAY + ("any" if inner.startswith(ARRAY) else inner)
    name = schema_name(schema)
    if name is not None and "properties" in document["components"]["schemas"].get(name, {}):
        return name
    return type_of(document, schema)


def member_schemas(document: Document, found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the packed members of these schemas and of all schemas inside them, each once."""
    schemas, waiting = document["components"]["schemas"], [kind for kinds in found.values() for kind in kinds]
    complete = dict(found)
    while waiting:
        name = waiting.pop().removeprefix(ARRAY)
        if name not in complete and "properties" in schemas.get(name, {}):
            complete[name] = grouped_by_type(members(document, schemas[name]))
            waiting += complete[name]
    return {name: complete[name] for name in by_name(complete)}


def rows_member(document: Document, operation: Mapping[str, Any]) -> str | None:
    """Return the member that holds a list's rows, if the file describes answers (newer ones do) and only one fits: a count of records, one array of objects."""
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    answer = document["components"]["schemas"].get(schema_name(schema), {}).get("properties", {})
    arrays = [name for name, its in answer.items() if its.get("type") == "array" and "$ref" in its.get("items", {})]
    return arrays[0] if len(arrays) == 1 and "record_count" in answer else None
