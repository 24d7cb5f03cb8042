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
    """The last part of a reference, None for a schema written out."""
    reference = schema.get("$ref")
    return None if reference is None else str(reference).rsplit("/", 1)[-1]


def type_of(document: Document, schema: Mapping[str, Any]) -> str:
    """The type in one word: the format where it says more (`date-time`, `uuid`, `int64`), Halo's own words (`int`, `bool`) as they are."""
    name = schema_name(schema)
    if name is not None:
        return type_of(document, document["components"]["schemas"][name])
    if "type" not in schema:
        return "object" if "properties" in schema else "any"
    form = schema.get("format", "")
    return str(schema["type"] if not form or form in PLAIN_FORMATS else form)


def parameter_type(document: Document, parameter: Mapping[str, Any]) -> str:
    """The type in the schema, corrected by the words in brackets at the start of the description, which some parameters have instead."""
    if parameter["name"].lower() in DATES:
        return "date"
    words = TYPE_IN_WORDS.match(parameter.get("description") or "")
    said = LISTS.get(words[1], words[1]) if words else "any"
    declared = type_of(document, parameter["schema"]) if "schema" in parameter else said
    if declared == "string" and said in LISTS.values():
        return said
    return "any" if {declared, said} == {"int", "bool"} else declared


def parameters(document: Document, operation: Mapping[str, Any], place: str) -> dict[str, str]:
    """Name to type; of repeated names in an operation the first one counts."""
    found: dict[str, tuple[str, str]] = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == place:
            found.setdefault(parameter["name"].lower(), (parameter["name"], parameter_type(document, parameter)))
    return dict(found.values())


def packed(types: Mapping[str, str]) -> dict[str, str]:
    """Names grouped by type, `{"bool": "a b", "int": "c"}`: half the size, and still readable."""
    return {kind: " ".join(by_name(name for name, its in types.items() if its == kind)) for kind in sorted(set(types.values()))}


def unpacked(groups: Mapping[str, str]) -> dict[str, str]:
    """The reverse of `packed`, in the order of names."""
    types = {name: kind for kind, names in groups.items() for name in names.split(" ")}
    return {name: types[name] for name in by_name(types)}


def body_schema(operation: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The shape of the request body and the schema of what it holds; None without a body, or with a bare JSON text."""
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
    """The members of an object and what they hold, as `worker.catalogue.members` reads it."""
    name = schema_name(schema)
    if name is not None:
        return members(document, document["components"]["schemas"][name])
    return {member: member_kind(document, its) for member, its in schema.get("properties", {}).items()}


def member_kind(document: Document, schema: Mapping[str, Any]) -> str:
    """The type in one word, or the name of the schema of an object; `[]` before either for an array; what arrays of arrays hold is not told apart."""
    if schema.get("type") == "array":
        inner = member_kind(document, schema.get("items", {}))
        return ARRAY + ("any" if inner.startswith(ARRAY) else inner)
    name = schema_name(schema)
    if name is not None and "properties" in document["components"]["schemas"].get(name, {}):
        return name
    return type_of(document, schema)


def member_schemas(document: Document, found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The packed members of these schemas and of all that they hold, each written once."""
    schemas, waiting = document["components"]["schemas"], [kind for kinds in found.values() for kind in kinds]
    complete = dict(found)
    while waiting:
        name = waiting.pop().removeprefix(ARRAY)
        if name not in complete and "properties" in schemas.get(name, {}):
            complete[name] = packed(members(document, schemas[name]))
            waiting += complete[name]
    return {name: complete[name] for name in by_name(complete)}


def rows_member(document: Document, operation: Mapping[str, Any]) -> str | None:
    """The member that holds a list's rows, where the file describes answers (newer ones do) and leaves no choice: a count of records beside one array of objects."""
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    answer = document["components"]["schemas"].get(schema_name(schema), {}).get("properties", {})
    arrays = [name for name, its in answer.items() if its.get("type") == "array" and "$ref" in its.get("items", {})]
    return arrays[0] if len(arrays) == 1 and "record_count" in answer else None
