"""Compiles `find`: how to look for a record before it is created."""

from __future__ import annotations

from collections.abc import Callable

from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.config.compiled import Find, Template
from worker.config.config_node import ConfigNode
from worker.config.models.publishers import FindDefinition
from worker.config.parameters import Checks, members_of, own_parameters, path_nodes, query_nodes, template
from worker.core.errors import Problem


def compile_find(
    found: FindDefinition | None, sent: Checks, node: ConfigNode, problems: list[Problem], make: Callable[[ConfigNode, list[Problem]], Template] = template
) -> Find | None:
    """The GET of the entity that `sent` is about; `make` compiles the values."""
    if found is None:
        return None
    entity = sent.operation.entity
    try:
        listing = sent.catalogue.find(entity, "GET")
    except (UnknownEntity, MethodNotAllowed):
        if not sent.allow_unknown:
            problems.append(node.key_problem(f"Halo has no list of {entity} to look in: leave `find` out"))
            return None
        listing = sent.catalogue.unknown(entity, "GET")
    if listing.listing is None:
        problems.append(node.key_problem(f"{listing.entity} is one record, not a list to look in: leave `find` out"))
    checks = Checks(sent.catalogue, listing, sent.allow_unknown, own_parameters(listing))
    path = path_nodes(node.child("path"), checks, problems)
    missing = [name for name in listing.path_parameters if name not in path]
    problems.extend(node.key_problem(f"`find` needs `{name}` under `path`") for name in missing)
    match = node.child("match")
    return Find(
        operation=listing,
        query={name: make(place, problems) for name, place in query_nodes(node.child("query"), checks, problems).items()},
        match={name: make(match.child(name), problems) for name in members_of(match)},
        path={name: make(place, problems) for name, place in path.items()},
        use=found.use,
        then=found.then,
    )
