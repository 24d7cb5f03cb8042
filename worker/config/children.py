"""Lists below other records: `for_each` reads the children of changed parents, `include` puts a list into each changed record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.compiled import Include, Parents
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.parameters import ParameterRules, find_operation, own_parameters, request_parameters, require_path
from worker.config.value_types import Parameters, Request, Text, Unknown

Changes = Literal["by_date", "by_content", "all"]


class ForEachDefinition(Definition):
    """The parents of a route: it reads the list of children of each parent that has changed."""

    entity: Text = Field(description="The list of the parents.", examples=["Tickets"])
    request: Request = Field(default=Request(), description="Path and query parameters of the parents' list.")


class IncludeDefinition(Definition):
    """A list that becomes a member of each changed record."""

    entity: Text = Field(description="Any list of the API.", examples=["Actions"])
    path: Parameters = Field(default={}, description="Values for the {parameters} of the path; the context is the record.")
    query: Parameters = Field(default={}, description="Query parameters; the context is the record.", examples=[{"ticket_id": "{{ id }}"}])


def compile_parents(definition: ForEachDefinition, node: ConfigNode, catalogue: Catalogue, allow_unknown: Unknown, changes: str) -> Parents | None:
    """Compile the parents; None after an error about their operation. `node`: the node of `for_each`; `changes`: the route's value."""
    operation = listed(node, catalogue, definition.entity, allow_unknown)
    if operation is None:
        return None
    by_date = operation.listing is not None and operation.listing.dated and changes in {"auto", "by_date"}
    checks = ParameterRules(catalogue, operation, allow_unknown, own_parameters(operation, by_date=by_date))
    request = request_parameters(node.child("request"), checks)
    require_path(node, checks, request.path, "`for_each.request.path`")
    return Parents(operation, request, operation.key)


def compile_includes(definitions: Mapping[str, IncludeDefinition], node: ConfigNode, catalogue: Catalogue, allow_unknown: Unknown) -> Mapping[str, Include]:
    """Compile the lists. `node`: the node of `include`."""
    found = {}
    for member, definition in definitions.items():
        place = node.child(member)
        operation = listed(place, catalogue, definition.entity, allow_unknown)
        if operation is None:
            continue
        checks = ParameterRules(catalogue, operation, allow_unknown, own_parameters(operation))
        request = request_parameters(place, checks)
        require_path(place, checks, request.path, f"`include.{member}.path`")
        found[member] = Include(operation, request)
    return found


def listed(node: ConfigNode, catalogue: Catalogue, entity: str, allow_unknown: Unknown) -> Operation | None:
    """The operation of a list; None after an error."""
    operation = find_operation(node, catalogue, entity, "GET", allow_unknown=allow_unknown)
    if operation is not None and operation.listing is None:
        node.child("entity").add_error(f"{operation.entity} is one record: name a list")
        return None
    return operation
