"""Writes a catalogue as an OpenAPI file, in the form that Halo serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.members import PackedSchemas
from worker.catalogue.published import ARRAY, DATES, METHODS, ungrouped

FORMATS = {"int64": "integer", **dict.fromkeys(("date-time", "uuid", "byte", "binary", "date-span"), "string")}
ANY_RECORD = "AnyRecord"


def openapi_document(catalogue: Catalogue) -> dict[str, Any]:
    """Return an OpenAPI 3 document. `worker.catalogue.tenant` makes an equal catalogue from it."""
    data = catalogue.data
    schemas: dict[str, Any] = {ANY_RECORD: {"type": "object"}}
    schemas |= {name: {"type": "object", "properties": properties(groups, data["schemas"])} for name, groups in data["schemas"].items()}
    tags: dict[str, list[str]] = {}
    for alias, entity in data["aliases"].items():
        tags.setdefault(entity, []).append(alias)
    paths = {}
    for path, facts in data["paths"].items():
        entity = path.split("/")[1]
        paths[path] = {method: operation(path, method, facts, tags.get(entity, [entity]), schemas) for method in METHODS if method in facts}
    return {
        "openapi": "3.0.1",
        "info": {"title": "Halo API", "version": "v2"},
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": {"schemas": {name: its for name, its in schemas.items() if "/" not in name}},
    }


def operation(path: str, method: str, facts: Mapping[str, Any], tags: list[str], schemas: dict[str, Any]) -> dict[str, Any]:
    its = facts[method]
    parameters = [{"name": name, "in": "path", "required": True, "schema": schema(kind)} for name, kind in its.get("path", facts.get("path", {})).items()]
    parameters += [{"name": name, "in": "query"} | query_type(name, kind) for name, kind in ungrouped(its.get("query", {})).items()]
    answer: dict[str, Any] = {"description": "Success"}
    if "rows" in its:
        name = f"{path[1:].replace('/', '_')}_Answer"
        schemas[name] = {"type": "object", "properties": {"record_count": schema("integer"), its["rows"]: {"type": "array", "items": reference(ANY_RECORD)}}}
        answer["content"] = {"application/json": {"schema": reference(name)}}
    made: dict[str, Any] = {"tags": tags, "parameters": parameters, "responses": {"200": answer}}
    if "body" in its:
        made["requestBody"] = {"content": body(its["body"], its["of"], schemas)}
    return made


def body(shape: str, name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a request's body. `name`: of its schema, or its type."""
    written_out = "/" in name  # such a name is the path
    its = schema(name) if name not in schemas else schemas[name] if written_out else reference(name)
    if shape == "multipart":
        return {"multipart/form-data": {"schema": its}}
    return {"application/json": {"schema": {"type": "array", "items": its} if shape == "array" else its}}


def properties(groups: Mapping[str, str], schemas: PackedSchemas) -> dict[str, Any]:
    return {name: member(kind, schemas) for name, kind in ungrouped(groups).items()}


def member(kind: str, schemas: PackedSchemas) -> dict[str, Any]:
    if kind.startswith(ARRAY):
        return {"type": "array", "items": member(kind.removeprefix(ARRAY), schemas)}
    return reference(kind) if kind in schemas else schema(kind)


def query_type(name: str, kind: str) -> dict[str, Any]:
    """Return the type of a query parameter, including Halo's wrong declarations."""
    if name.lower() in DATES:
        return {"schema": {"type": "bool"}}
    if kind == "List<int>":
        return {"description": "(array of int)", "schema": {"type": "string"}}
    return {} if kind == "any" else {"schema": schema(kind)}


def schema(kind: str) -> dict[str, Any]:
    if kind == "any":
        return {}
    return {"type": FORMATS[kind], "format": kind} if kind in FORMATS else {"type": kind}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
