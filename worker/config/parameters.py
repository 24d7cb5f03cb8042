"""Checks a route's operation, its request parameters and its transforms against the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import MethodNotAllowed, RequestError, UnknownEntity
from worker.catalogue.operation import Operation
from worker.catalogue.parameter_types import misfit
from worker.catalogue.values import path_segment
from worker.config.compiled import RequestParameters
from worker.config.config_node import ConfigNode
from worker.config.mappings import member_name
from worker.config.node_values import template
from worker.config.run_templates import OPEN_VARIABLE
from worker.config.template_lexer import OPEN
from worker.config.value_types import Unknown
from worker.core.suggest import did_you_mean

PAGING = frozenset(("pageinate", "page_no", "page_size", "count"))
DATES = frozenset(("lastupdatefromdate", "lastupdatetodate"))


@dataclass(frozen=True, slots=True)
class ParameterRules:
    """The rules for parameters. `own`: query parameters that the worker sets, in lower case."""

    catalogue: Catalogue
    operation: Operation
    allow_unknown: Unknown = False
    own: frozenset[str] = frozenset()


def allowed_names(allow_unknown: Unknown) -> list[str]:
    """The query parameters that a route's `allow_unknown` names."""
    return allow_unknown if isinstance(allow_unknown, list) else []


def find_operation(route: ConfigNode, catalogue: Catalogue, entity: str, method: str, *, allow_unknown: Unknown) -> Operation | None:
    """The operation that a route names, with the parameters that it allows; None after an error."""
    message = ""
    for find in (catalogue.find, catalogue.unknown) if allow_unknown is True else (catalogue.find,):
        try:
            return find(entity, method).accepting(allowed_names(allow_unknown))
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


def request_parameters(node: ConfigNode, checks: ParameterRules) -> RequestParameters:
    """The parameters under `path` and `query`."""
    path, query = path_nodes(node.child("path"), checks), query_nodes(node.child("query"), checks)
    return RequestParameters({name: template(member) for name, member in path.items()}, {name: template(member) for name, member in query.items()})


def path_nodes(node: ConfigNode, checks: ParameterRules) -> Mapping[str, ConfigNode]:
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
            check_segment(member)
    return found


def literal(node: ConfigNode) -> Any:
    """Return the literal value in the file, with its variables filled in; None if an expression or a variable of a run makes it."""
    if not isinstance(node.value, str):
        return node.value
    if OPEN in node.value or OPEN_VARIABLE in node.value:
        return None
    return node.file.variables.known(node.value)


def check_segment(node: ConfigNode) -> None:
    """Add an error for a literal that cannot be a segment of a path."""
    value = literal(node)
    if value is None or isinstance(value, dict | list):
        return  # validation reports these
    try:
        path_segment(node.name, value)
    except RequestError as error:
        node.add_error(str(error))


def check_type(node: ConfigNode, operation: Operation, name: str) -> None:
    """Add an error for a literal that does not fit the type of its query parameter."""
    value = literal(node)
    if not isinstance(value, dict | list) and (wrong := misfit(operation.query_parameters.get(name, "any"), value)):
        node.add_error(f"`{name}` {wrong}")


def unknown_path_parameter(operation: Operation, name: str) -> str:
    valid = operation.path_parameters
    if not valid:
        return f"{operation.entity} has no path parameter `{name}`; it has none"
    near = did_you_mean(name, valid) or f"; it has {', '.join(valid)}"
    return f"{operation.entity} has no path parameter `{name}`{near}"


def query_nodes(node: ConfigNode, checks: ParameterRules) -> Mapping[str, ConfigNode]:
    """The node of each query parameter, by its published name."""
    found: dict[str, ConfigNode] = {}
    for name, member in node.members.items():
        canonical = checks.operation.canonical_query(name)
        if canonical.lower() in checks.own:
            member.add_key_error(f"`{canonical}` must be left out: the worker sets it on this list")
        elif checks.allow_unknown is not True:
            for sentence in checks.catalogue.check_query(checks.operation, [name]):
                member.add_key_error(sentence)
        check_type(member, checks.operation, canonical)
        if canonical in found:
            member.add_key_error(f"`{name}` is given twice")
        found[canonical] = member
    return found


def missing_path(checks: ParameterRules, given: Iterable[str]) -> list[str]:
    """Return the parameters of the path without a source."""
    return [name for name in checks.operation.path_parameters if name not in set(given)]


def check_transform(node: ConfigNode, keys: tuple[str, ...], checks: ParameterRules) -> Iterable[str]:
    """Check that a mapping has only these keys, and parameters that the operation knows. Return the path parameters that it supplies."""
    if isinstance(node.value, list):
        node.add_error(f"`{node.name}` must be a mapping with {', '.join(keys)}, or one JSONata text")
    for name, member in node.members.items():
        if name not in keys:
            member.add_key_error(f"unknown key `{name}` in `{node.name}`; valid are {', '.join(keys)}")
        elif name in {"path", "query"} and not isinstance(member.value, (dict, str)):
            member.add_error(f"`{name}` must be a mapping (names and values)")
    query_nodes(without_optional_marks(node.child("query")), checks)
    return path_nodes(without_optional_marks(node.child("path")), checks)


def without_optional_marks(node: ConfigNode) -> ConfigNode:
    """Return the mapping by the names of its members, without the `?` of optional members."""
    return replace(node, children={member_name(name)[0]: member for name, member in node.members.items()})


def supplies_any_path(node: ConfigNode) -> bool:
    """Whether a transform computes its path parameters: only a run can then show their names."""
    return node.exists and (not isinstance(node.value, dict) or isinstance(node.value.get("path"), str))


def require_path(route: ConfigNode, checks: ParameterRules, given: Iterable[str], holder: str) -> None:
    """Add an error for the parameters of the path without a source."""
    if missing := missing_path(checks, given):
        names = " and ".join(f"`{name}`" for name in missing)
        route.child("entity").add_error(f"{checks.operation.entity} needs {names} under {holder}")
