"""The lookup before a create: the `find` of publishers and steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.config.compiled import Find, Template
from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, build
from worker.config.mappings import MissingRule
from worker.config.node_values import template
from worker.config.parameters import ParameterRules, allowed_names, missing_path, own_parameters, path_nodes, query_nodes
from worker.config.value_types import Parameters

Match = Annotated[
    dict[str, Any],
    Field(min_length=1),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "minProperties": 1}),
    Compiled(),
]


class FindDefinition(Definition):
    """Look before create: the record that the message is about, if it is in Halo already."""

    path: Parameters = Field(default={}, description="Values for the {parameters} of the path.")
    query: Parameters = Field(default={}, description="Query parameters that narrow the list down.")
    match: Match = Field(description="Members and their required values; exactly one row must match.")
    use: Literal["doubtful", "always"] = Field(default="doubtful", description="Look only when an earlier attempt may have succeeded, or before each create.")
    then: Literal["update", "skip"] = Field(default="update", description="The action for a found record.")


def compile_find(
    definition: FindDefinition | None, sent: ParameterRules, node: ConfigNode, make: Callable[[ConfigNode, MissingRule], Template] = template
) -> Find | None:
    """Compile the GET of the entity that `sent` is about; `make` compiles the values."""
    if definition is None:
        return None
    entity = sent.operation.entity
    try:
        listing = sent.catalogue.find(entity, "GET")
    except (UnknownEntity, MethodNotAllowed):
        if sent.allow_unknown is not True:
            node.add_key_error(f"Halo has no list of {entity} to look in: leave `find` out")
            return None
        listing = sent.catalogue.unknown(entity, "GET")
    listing = listing.accepting(allowed_names(sent.allow_unknown))
    if listing.listing is None:
        node.add_key_error(f"{listing.entity} is one record, not a list to look in: leave `find` out")
    checks = ParameterRules(sent.catalogue, listing, sent.allow_unknown, own_parameters(listing))
    path, query = path_nodes(node.child("path"), checks), query_nodes(node.child("query"), checks)
    for name in missing_path(checks, path):
        node.add_key_error(f"`find` needs `{name}` under `path`")
    return build(
        Find,
        definition,
        operation=listing,
        path={name: make(member, "omit") for name, member in path.items()},
        query={name: make(member, "omit") for name, member in query.items()},
        match={name: make(member, "fail") for name, member in node.child("match").members.items()},
    )
