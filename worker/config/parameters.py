"""Checks the request parameters of a route against the operation that they are for, and compiles them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.compiled import RequestParameters, Template
from worker.config.config_node import ConfigNode
from worker.config.expressions import compile_template
from worker.core.errors import ConfigError, Problem
from worker.core.suggest import did_you_mean

PAGING = frozenset(("pageinate", "page_no", "page_size", "count"))
DATES = frozenset(("lastupdatefromdate", "lastupdatetodate"))


@dataclass(frozen=True, slots=True)
class Checks:
    """What parameters are checked against. `own`: query parameters that the worker sets itself, in lower case."""

    catalogue: Catalogue
    operation: Operation
    allow_unknown: bool = False
    own: frozenset[str] = frozenset()


def own_parameters(operation: Operation, *, by_date: bool = False) -> frozenset[str]:
    """The query parameters that the worker needs for itself on this list."""
    listing = operation.listing
    if listing is None:
        return frozenset()
    return (PAGING if listing.paged else frozenset()) | (DATES if by_date else frozenset())


def request_parameters(node: ConfigNode, checks: Checks, problems: list[Problem]) -> RequestParameters:
    """The parameters under `path` and `query` of a node; either may be absent."""
    return RequestParameters(path_parameters(node.child("path"), checks, problems), query_parameters(node.child("query"), checks, problems))


def path_parameters(node: ConfigNode, checks: Checks, problems: list[Problem]) -> Mapping[str, Template]:
    return {name: template(place, problems) for name, place in path_nodes(node, checks, problems).items()}


def path_nodes(node: ConfigNode, checks: Checks, problems: list[Problem]) -> Mapping[str, ConfigNode]:
    """Where the value of each path parameter stands, by its published name."""
    published = {name.lower(): name for name in checks.operation.path_parameters}
    found: dict[str, ConfigNode] = {}
    for name in members_of(node):
        canonical = published.get(name.lower())
        if canonical is None:
            problems.append(node.child(name).key_problem(unknown_path_parameter(checks.operation, name)))
        elif canonical in found:
            problems.append(node.child(name).key_problem(f"`{name}` is given twice"))
        else:
            found[canonical] = node.child(name)
    return found


def unknown_path_parameter(operation: Operation, name: str) -> str:
    valid = operation.path_parameters
    if not valid:
        return f"{operation.entity} has no path parameter `{name}`; it has none at all"
    near = did_you_mean(name, valid) or f"; it has {', '.join(valid)}"
    return f"{operation.entity} has no path parameter `{name}`{near}"


def query_parameters(node: ConfigNode, checks: Checks, problems: list[Problem]) -> Mapping[str, Template]:
    return {name: template(place, problems) for name, place in query_nodes(node, checks, problems).items()}


def query_nodes(node: ConfigNode, checks: Checks, problems: list[Problem]) -> Mapping[str, ConfigNode]:
    """Where the value of each query parameter stands, by its published name."""
    found: dict[str, ConfigNode] = {}
    for name in members_of(node):
        canonical = checks.catalogue.canonical_query(checks.operation, name)
        check_query_name(node.child(name), canonical, checks, problems)
        if canonical in found:
            problems.append(node.child(name).key_problem(f"`{name}` is given twice"))
        found[canonical] = node.child(name)
    return found


def check_query_name(node: ConfigNode, name: str, checks: Checks, problems: list[Problem]) -> None:
    if name.lower() in checks.own:
        problems.append(node.key_problem(f"`{name}` is set by the worker itself on this list: leave it out"))
    elif not checks.allow_unknown:
        problems.extend(node.key_problem(sentence) for sentence in checks.catalogue.check_query(checks.operation, [str(node.path[-1])]))


def require_path(node: ConfigNode, checks: Checks, given: Iterable[str], problems: list[Problem], place: str = "`request.path`") -> None:
    """A problem for each parameter of the path that nothing supplies; `node` is the route."""
    missing = [name for name in checks.operation.path_parameters if name not in set(given)]
    if missing:
        told = " and ".join(f"`{name}`" for name in missing)
        problems.append(node.child("entity").problem(f"{checks.operation.entity} needs {told} under {place}"))


def template(node: ConfigNode, problems: list[Problem]) -> Template:
    """The compiled value of a node; after problems, one that yields nothing."""
    try:
        return compile_template(node.value, node)
    except ConfigError as error:
        problems.extend(error.problems)
        return compile_template(None)


def members_of(node: ConfigNode) -> Mapping[str, Any]:
    """The members of a mapping; none when there is none."""
    value = node.value if node.exists else None
    return value if isinstance(value, dict) else {}
