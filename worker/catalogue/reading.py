"""Turns the catalogue's data into operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import orjson

from worker.catalogue.operation import Body, Listing, Operation
from worker.catalogue.published import METHODS, unpacked

PAGING = "pageinate"
DATED = "lastupdatefromdate"
ORDER = "order"


def read_data() -> Mapping[str, Any]:
    """What `worker.catalogue.generate` wrote."""
    data: Mapping[str, Any] = orjson.loads(files("worker.catalogue").joinpath("data.json").read_bytes())
    return data


def listing_of(path: str, query: Mapping[str, str], rows: str | None) -> Listing | None:
    """None for a path that ends in a parameter: it answers one record."""
    if path.endswith("}"):
        return None
    return Listing(rows, paged=PAGING in query, dated=DATED in query, ordered=ORDER in query)


def read_operation(path: str, method: str, facts: Mapping[str, Any]) -> Operation:
    its = facts[method]
    query = unpacked(its.get("query", {}))
    return Operation(
        method=method.upper(),
        path=path,
        path_parameters=its.get("path", facts.get("path", {})),
        query_parameters=query,
        body=Body(its["body"]) if "body" in its else None,
        listing=listing_of(path, query, its.get("rows")) if method == "get" else None,
        key=tuple(facts["key"].split(" ")) if "key" in facts else ("id",),
    )


def read_operations(data: Mapping[str, Any]) -> Iterator[Operation]:
    for path, facts in data["paths"].items():
        for method in METHODS:
            if method in facts:
                yield read_operation(path, method, facts)
