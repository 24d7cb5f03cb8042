"""One operation of the Halo API: a method on a path, with its parameters, body and records."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Self

from worker.catalogue.members import NO_SCHEMAS, Members, Schemas

SHARED_IDS: Mapping[str, str] = MappingProxyType({"opportunities": "tickets", "projects": "tickets"})  # all three are rows of one table, Faults


def id_space(resource: str) -> str:
    """Return the resource under which ids are unique: opportunities and projects are tickets, and share their ids."""
    return SHARED_IDS.get(resource, resource)


class Body(Enum):
    """The body that a POST takes."""

    ARRAY = "array"
    OBJECT = "object"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Listing:
    """The response of a GET on a list. `key` is the member that holds the rows, None for a bare array or when unknown.

    `paged`: it takes `pageinate`, `page_size`, `page_no`. `dated`: it takes `lastupdatefromdate` and `lastupdatetodate`. `ordered`: it takes `order`, `orderdesc`.
    """

    key: str | None = None
    paged: bool = False
    dated: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` as published, such as `/Actions/{id}`; parameters map the published name to its type (`int`, `string`, `bool`, …); query names compare without case."""

    method: str
    path: str
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    query_parameters: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    """The body of a POST; None where Halo publishes none: the worker sends the payload unchanged."""
    listing: Listing | None = None
    """For every GET whose path does not end in a parameter; None for the GET of one record."""
    schema: str = ""
    """The schema of a POST's body, by its name in `schemas`, or its type; empty if it is not published."""
    schemas: Schemas = field(default=NO_SCHEMAS, repr=False, compare=False)
    key: tuple[str, ...] = ("id",)
    """The members that identify a record; several if an id alone is not unique (actions: ticket_id, id)."""

    @property
    def members(self) -> Members | None:
        """Return the members of the body, of each item for an array; None if Halo publishes none."""
        return self.schemas.find(self.schema)

    @property
    def entity(self) -> str:
        """Return the path without its leading slash, as route files name it."""
        return self.path[1:]

    @property
    def resource(self) -> str:
        """Return the first path segment in lower case: the prefix of routing keys and event types."""
        return self.path[1:].split("/", 1)[0].lower()

    @property
    def id_space(self) -> str:
        return id_space(self.resource)

    def canonical_query(self, name: str) -> str:
        """Return the published name of a query parameter; an unknown name unchanged."""
        if name in self.query_parameters:
            return name
        wanted = name.lower()
        return next((published for published in self.query_parameters if published.lower() == wanted), name)

    def accepting(self, names: Collection[str]) -> Self:
        """Return the operation with these additional query parameters, with any values."""
        return replace(self, query_parameters={**self.query_parameters, **{self.canonical_query(name): "any" for name in names}}) if names else self


def unsearchable(operation: Operation, members: Collection[str]) -> str | None:
    """Return why `$id` cannot find one record of this list by these members; None if it can."""
    if operation.listing is None or operation.path_parameters:
        return f"{operation.entity} is not a list in which `$id` can look"
    if "id" not in operation.key:
        return f"records of {operation.entity} have no `id`: {' and '.join(operation.key)} identify one"
    if lacking := [name for name in operation.key if name != "id" and name not in members]:
        return f"an id of {operation.entity} counts only within its `{lacking[0]}`: give that member too"
    return None
