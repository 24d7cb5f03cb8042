"""The members that a POST takes: for `halo-worker entities`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.members import Members
from worker.catalogue.operation import Operation
from worker.catalogue.published import ARRAY

ID = re.compile(r"(?P<entity>[a-z]\w*?)_?ids?")
PREFIXES = re.compile(r"(new|default|previous|from|to|original)_")
COLUMNS = ("member", "type", "array", "refers to")


def members_of(catalogue: Catalogue, operation: Operation, wanted: str = "") -> list[dict[str, Any]]:
    """Return for each member its name, its type, whether it is an array, and the entity that it refers to if known.

    `wanted`: a part of a name; a whole name also shows the members inside it, and `fields.val` those inside `fields` with this part.
    """
    published = operation.members
    if published is None:
        return []
    return [member_object(catalogue, published, path, kind) for path, kind in selected_members(published, wanted.strip().lower())]


def selected_members(published: Members, wanted: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    first, dot, rest = wanted.partition(".")
    first = first.removesuffix(ARRAY)
    for name, kind in published.kinds.items():
        inner = published.inside(kind)
        exactly = name.lower() == first
        if (exactly or (first in name.lower() and not dot)) and not rest:
            yield f"{prefix}{name}", kind
        if exactly and inner is not None:
            yield from selected_members(inner, rest, f"{prefix}{name}{ARRAY if kind.startswith(ARRAY) else ''}.")


def member_object(catalogue: Catalogue, published: Members, path: str, kind: str) -> dict[str, Any]:
    one = kind.removeprefix(ARRAY)
    return {
        "name": path,
        "type": "object" if published.inside(kind) else one,
        "array": kind.startswith(ARRAY),
        "refers_to": referenced_entity(catalogue, path.rpartition(".")[2]),
    }


def referenced_entity(catalogue: Catalogue, name: str) -> str | None:
    """Return the entity whose id a member holds, from the member's name: `client_id` holds the id of a Client."""
    found = ID.fullmatch(PREFIXES.sub("", name.lower()))
    methods = catalogue.methods_of(found["entity"]) if found else {}
    reading = methods.get("GET")
    return reading.entity if reading is not None and reading.listing is not None else None


def member_row(member: dict[str, Any]) -> tuple[str, ...]:
    return (member["name"], member["type"], "array" if member["array"] else "", member["refers_to"] or "")
