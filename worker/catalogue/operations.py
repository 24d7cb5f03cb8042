"""Makes operations: from the catalogue's data, or from a name that the published API does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import orjson

from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.members import PackedSchemas, Schemas
from worker.catalogue.operation import Body, Listing, Operation
from worker.catalogue.published import METHODS, PARAMETER, ungrouped

PAGING = "pageinate"
DATED = "lastupdatefromdate"
ORDER = "order"
PATH = re.compile(r"(/([A-Za-z0-9_&.~-]|\{[A-Za-z_][A-Za-z0-9_]*\})+)+")
DOTS = re.compile(r"/\.+(/|$)")


def read_data() -> Mapping[str, Any]:
    """Return the data that `worker.catalogue.generate` wrote, without the members of bodies."""
    return read_file("data.json")


def read_schemas() -> PackedSchemas:
    """Return the members of bodies, from a separate file that is read when the first body is checked or built."""
    schemas: PackedSchemas = read_file("schemas.json")["schemas"]
    return schemas


def read_file(name: str) -> Mapping[str, Any]:
    data: Mapping[str, Any] = orjson.loads(files("worker.catalogue").joinpath(name).read_bytes())
    return data


def listing_of(path: str, query: Mapping[str, str], rows: str | None) -> Listing | None:
    """Return the listing of a path; None for a path that ends in a parameter: its response is one record."""
    if path.endswith("}"):
        return None
    return Listing(rows, paged=PAGING in query, dated=DATED in query, ordered=ORDER in query)


def read_operation(path: str, method: str, facts: Mapping[str, Any], schemas: Schemas) -> Operation:
    its = facts[method]
    query = ungrouped(its.get("query", {}))
    return Operation(
        method=method.upper(),
        path=path,
        path_parameters=its.get("path", facts.get("path", {})),
        query_parameters=query,
        body=Body(its["body"]) if "body" in its else None,
        listing=listing_of(path, query, its.get("rows")) if method == "get" else None,
        schema=its.get("of", ""),
        schemas=schemas,
        key=tuple(facts["key"].split(" ")) if "key" in facts else ("id",),
    )


def read_operations(data: Mapping[str, Any], schemas: Schemas) -> Iterator[Operation]:
    for path, facts in data["paths"].items():
        for method in METHODS:
            if method in facts:
                yield read_operation(path, method, facts, schemas)


def permissive_operation(entity: str, method: str) -> Operation:
    """Return an unpublished operation: its parameters are those in braces, and a POST takes an array.

    Raises `UnknownEntity` when the name cannot be a path, `MethodNotAllowed` for a method that Halo does not use.
    """
    path = f"/{entity.strip().strip('/')}"
    if not PATH.fullmatch(path) or DOTS.search(path):
        raise UnknownEntity(f"{entity!r} cannot be a path: write letters, digits and {{parameters}} between single slashes, such as Tickets/{{id}}")
    if method.lower() not in METHODS:
        raise MethodNotAllowed(f"Halo has no {method.upper()}: write GET, POST or DELETE")
    names = PARAMETER.findall(path)
    if len({name.lower() for name in names}) < len(names):
        raise UnknownEntity(f"{entity!r} names a parameter twice")
    return Operation(
        method=method.upper(),
        path=path,
        path_parameters=dict.fromkeys(names, "string"),
        body=Body.ARRAY if method.upper() == "POST" else None,
        listing=Listing() if method.upper() == "GET" and not path.endswith("}") else None,
    )
