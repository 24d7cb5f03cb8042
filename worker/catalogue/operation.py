"""One operation of the Halo API: a method on a path, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Body(Enum):
    """What a POST takes."""

    ARRAY = "array"
    OBJECT = "object"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of the answer of a GET on a list. `key` is the member that holds the rows, None for a bare array or when unknown.

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
    """What a POST takes; None where nothing is published: the payload, if there is one, goes as it is."""
    listing: Listing | None = None
    """For every GET whose path does not end in a parameter; None for the GET of one record."""
    key: tuple[str, ...] = ("id",)
    """The members that identify one of its records; several where ids are not unique alone (actions: ticket_id, id)."""

    @property
    def entity(self) -> str:
        """The path without its leading slash: how route files name it."""
        return self.path[1:]

    @property
    def resource(self) -> str:
        """The first path segment in lower case: the prefix of routing keys and event types."""
        return self.path[1:].split("/", 1)[0].lower()
