"""Operations that are not in the published file: newer endpoints that a route asks for by name."""

from __future__ import annotations

import re

from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Body, Listing, Operation
from worker.catalogue.published import METHODS, PARAMETER

PATH = re.compile(r"(/([A-Za-z0-9_&.~-]|\{[A-Za-z_][A-Za-z0-9_]*\})+)+")
DOTS = re.compile(r"/\.+(/|$)")


def permissive_operation(entity: str, method: str) -> Operation:
    """Raises `UnknownEntity` when the name cannot be a path, `MethodNotAllowed` for a method that Halo does not use."""
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
