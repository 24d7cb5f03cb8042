"""Compiles the definition of a publisher against the catalogue."""

from __future__ import annotations

from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Operation
from worker.config.members import check_shape, condition, find_operation, transformation
from worker.config.models.publishers import PublisherDefinition
from worker.config.parameters import Checks, members_of, own_parameters, path_parameters, query_parameters, request_parameters, require_path, template
from worker.config.routes import Find, Publisher
from worker.config.spot import Spot
from worker.core.errors import Problem

SHAPE = ("path", "query", "payload")
NEW_TICKETS = "/Tickets"


def compile_publisher(name: str, definition: PublisherDefinition, spot: Spot, catalogue: Catalogue, problems: list[Problem]) -> Publisher | None:
    """None after a problem that leaves nothing to check against."""
    when = condition(spot.child("when"), problems)
    transform = transformation(spot.child("transform"), problems)
    check_choices(definition, spot, problems)
    operation = find_operation(spot, catalogue, definition.entity, definition.method, problems, allow_unknown=definition.allow_unknown)
    if operation is None:
        return None
    checks = Checks(catalogue, operation, definition.allow_unknown)
    request = request_parameters(spot.child("request"), checks, problems)
    check_transform(spot, checks, list(request.path), problems)
    return Publisher(
        name=name,
        client=definition.client,
        queue=definition.queue,
        operation=operation,
        declare=definition.declare,
        bind=tuple((bind.exchange, bind.routing_key) for bind in definition.bind),
        request=request,
        when=when,
        transform=transform,
        find=None if definition.find is None or definition.method == "DELETE" else compile_find(definition, operation, spot.child("find"), catalogue, problems),
        in_doubt=definition.in_doubt,
        retry=tuple(definition.retry),
        concurrency=definition.concurrency or default_concurrency(operation),
        allow_unknown=definition.allow_unknown,
    )


def default_concurrency(operation: Operation) -> int:
    return 1 if operation.method == "POST" and operation.path == NEW_TICKETS else 4


def check_choices(definition: PublisherDefinition, spot: Spot, problems: list[Problem]) -> None:
    """Members that contradict each other."""
    if definition.find is not None and definition.method == "DELETE":
        problems.append(spot.child("find").key_problem("`find` is for POST: a DELETE can be repeated without looking"))
    if definition.find is not None and definition.in_doubt == "repeat":
        problems.append(spot.child("in_doubt").key_problem("`in_doubt: repeat` is for routes that cannot look; this one has `find`"))


def check_transform(route: Spot, checks: Checks, supplied: list[str], problems: list[Problem]) -> None:
    """What a mapping under `transform` can be told to lack or to misspell; a JSONata text and the message's own members are seen only at work."""
    spot = route.child("transform")
    check_shape(spot, SHAPE, problems)
    known: list[Problem] = []  # its values were compiled, and complained about, as a whole
    supplied += path_parameters(spot.child("path"), checks, known)
    query_parameters(spot.child("query"), checks, known)
    problems.extend(problem for problem in known if problem not in problems)
    value: Any = spot.value if spot.exists else None
    if not isinstance(value, dict) or isinstance(value.get("path"), str):
        return
    require_path(route, checks, supplied, problems, "`request.path` or `transform.path`")
    if checks.operation.body is not None and "payload" not in value:
        problems.append(spot.key_problem("`transform` gives no `payload`, which a POST sends"))


def compile_find(definition: PublisherDefinition, operation: Operation, spot: Spot, catalogue: Catalogue, problems: list[Problem]) -> Find | None:
    """How to look for the record: the GET of the same entity."""
    found = definition.find
    if found is None:
        return None
    try:
        listing = catalogue.find(operation.entity, "GET")
    except (UnknownEntity, MethodNotAllowed):
        if not definition.allow_unknown:
            problems.append(spot.key_problem(f"Halo has no list of {operation.entity} to look in: leave `find` out"))
            return None
        listing = catalogue.unknown(operation.entity, "GET")
    if listing.listing is None:
        problems.append(spot.key_problem(f"{listing.entity} is one record, not a list to look in: leave `find` out"))
    checks = Checks(catalogue, listing, definition.allow_unknown, own_parameters(listing))
    path = path_parameters(spot.child("path"), checks, problems)
    missing = [name for name in listing.path_parameters if name not in path]
    problems.extend(spot.key_problem(f"`find` needs `{name}` under `path`") for name in missing)
    match = spot.child("match")
    return Find(
        operation=listing,
        query=query_parameters(spot.child("query"), checks, problems),
        match={name: template(match.child(name), problems) for name in members_of(match)},
        path=path,
        use=found.use,
        then=found.then,
    )
