"""Query parameters by name: Halo compares them without case and ignores in silence those that it does not know."""

from __future__ import annotations

from worker.catalogue.operation import Operation
from worker.core.suggest import did_you_mean

LISTED = 12


def canonical_query(operation: Operation, name: str) -> str:
    """The name as published; an unknown one as it is."""
    if name in operation.query_parameters:
        return name
    wanted = name.lower()
    return next((published for published in operation.query_parameters if published.lower() == wanted), name)


def unknown_query(operation: Operation, name: str) -> str:
    """What is wrong with a name that the operation does not have, with the nearest ones."""
    valid = operation.query_parameters
    problem = f"{operation.method} {operation.entity} has no query parameter {name!r} (Halo would ignore it)"
    if not valid:
        return f"{problem}; it has none"
    near = did_you_mean(name, valid)
    if near:
        return problem + near
    more = f" and {len(valid) - LISTED} more" if len(valid) > LISTED else ""
    return f"{problem}; it has {', '.join(list(valid)[:LISTED])}{more}"
