"""Checks a route's operation, its request parameters and its transforms against the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Operation
from worker.config.compiled import RequestParameters
from worker.config.config_node import ConfigNode
from worker.config.mappings import member_name
from worker.config.node_values import template
from worker.core.suggest import did_you_mean

PAGING = frozenset(("pageinate", "page_no", "page_size", "count"))
DATES = frozenset(("lastupdatefromdate", "lastupdatetodate"))


@dataclass(frozen=True, slots=True)
class Checks:
    """What parameters are checked against. `own`: query parameters that the worker sets, in lower case."""

    catalogue: Catalogue
    operation: Operation
    allow_unknown: bool = False
    own: frozenset[str] = frozenset()


def find_operation(route: ConfigNode, catalogue: Catalogue, entity: str, method: str, *, allow_unknown: bool) -> Operation | None:
    """The operation that a route names; None after an error."""
    message = ""
    for find in (catalogue.find, catalogue.unknown) if allow_unknown else (catalogue.find,):
        try:
            return find(entity, method)
        except (UnknownEntity, MethodNotAllowed) as error:
            message = str(error)
    route.child("entity").add_error(message)
    return None


def own_parameters(operation: Operation, *, by_date: bool = False) -> frozenset[str]:
    """The query parameters that the worker sets on this list."""
    listing = operation.listing
    if listing is None:
        return frozenset()
    return (PAGING if listing.paged else frozenset()) | (DATES if by_date else frozenset())


def request_parameters(node: ConfigNode, checks: Checks) -> RequestParameters:
    """The parameters under `path` and `query`."""
    path, query = path_nodes(node.child("path"), checks), query_nodes(node.child("query"), checks)
    return RequestParameters({name: template(member) for name, member in path.items()}, {name: template(member) for name, member in query.items()})


def path_nodes(node: ConfigNode, checks: Checks) -> Mapping[str, ConfigNode]:
    """The node of each path parameter, by its published name."""
    published = {name.lower(): name for name in checks.operation.path_parameters}
    found: dict[str, ConfigNode] = {}
    for name, member in node.members.items():
        canonical = published.get(name.lower())
        if canonical is None:
            member.add_key_error(unknown_path_parameter(checks.operation, name))
        elif canonical in found:
            member.add_key_error(f"`{name}` is given twice")
        else:
            found[canonical] = member
    return found


def unknown_path_parameter(operation: Operation, name: str) -> str:
    valid = operation.path_parameters
    if not valid:
        return f"{operation.entity} has no path parameter `{name}`; it has none"
    near = did_you_mean(name, valid) or f"; it has {', '.join(valid)}"
    return f"{operation.entity} has no path parameter `{name}`{near}"


def query_nodes(node: ConfigNode, checks: Checks) -> Mapping[str, ConfigNode]:
    """The node of each query parameter, by its published name."""
    found: dict[str, ConfigNode] = {}
    for name, member in node.members.items():
        canonical = checks.operation.canonical_query(name)
        if canonical.lower() in checks.own:
            member.add_key_error(f"`{canonical}` must be left out: the worker sets it on this list")
        elif not checks.allow_unknown:
            for sentence in checks.catalogue.check_query(checks.operation, [name]):
                member.add_key_error(sentence)
        if canonical in found:
            member.add_key_error(f"`{name}` is given twice")
        found[canonical] = member
    return found


def missing_path(checks: Checks, given: Iterable[str]) -> list[str]:
    """The parameters of the path that nothing supplies."""
    return [name for name in checks.operation.path_parameters if name not in set(given)]


def check_transform(node: ConfigNode, keys: tuple[str, ...], checks: Checks) -> Iterable[str]:
    """A transform that is a mapping has these keys, and parameters that the operation knows. The path parameters that it supplies."""
    if isinstance(node.value, list):
        node.add_error(f"`{node.name}` must be a mapping with {', '.join(keys)}, or one JSONata text")
    for name, member in node.members.items():
        if name not in keys:
            member.add_key_error(f"unknown key `{name}` in `{node.name}`; valid are {', '.join(keys)}")
        elif name in {"path", "query"} and not isinstance(member.value, (dict, str)):
            member.add_error(f"`{name}` must be a mapping (names and values)")
    query_nodes(unmarked(node.child("query")), checks)
    return path_nodes(unmarked(node.child("path")), checks)


def unmarked(node: ConfigNode) -> ConfigNode:
    """The mapping under the names of its members: without the `?` of those that may be missing."""
    return replace(node, children={member_name(name)[0]: member for name, member in node.members.items()})


def supplies_any_path(node: ConfigNode) -> bool:
    """Whether a transform computes its path parameters, so that only a run of it can tell which."""
    return node.exists and (not isinstance(node.value, dict) or isinstance(node.value.get("path"), str))


def require_path(route: ConfigNode, checks: Checks, given: Iterable[str], holder: str) -> None:
    """Adds an error for the parameters of the path that nothing supplies."""
    if missing := missing_path(checks, given):
        names = " and ".join(f"`{name}`" for name in missing)
        route.child("entity").add_error(f"{checks.operation.entity} needs {names} under {holder}")
