"""Checks a route's payload for Halo against the published schema: names of members, and the types of literal values, at any depth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self

from worker.catalogue.members import Members, body_misfit
from worker.catalogue.needs import UNPUBLISHED_MEMBERS
from worker.catalogue.operation import Operation
from worker.catalogue.published import ARRAY
from worker.config.config_node import ConfigNode
from worker.config.documents import DocumentValue, Member
from worker.core.suggest import nearest

WHOLE_TYPES = frozenset({"int", "integer", "int64"})
PART_OF_A_NUMBER = re.compile(r"[-+\d\s]*")


@dataclass(frozen=True, slots=True)
class PayloadCheck:
    """`published`: None if there is nothing to check. `allowed`: accepted names, in lower case."""

    published: Members | None
    operation: Operation
    allowed: frozenset[str] = field(default_factory=frozenset)
    allowable: bool = True
    """Whether the route has a key for further names."""

    @classmethod
    def of(cls, operation: Operation, allow_unknown: Any) -> Self:
        """Return the check for an operation. `allow_unknown`: the route's value; true accepts everything; None: the route has no such key."""
        names = allow_unknown if isinstance(allow_unknown, list) else []
        known = {*map(str, names), *UNPUBLISHED_MEMBERS.get(operation.path, ())}
        published = operation.members if allow_unknown is not True and operation.method == "POST" else None
        return cls(published, operation, frozenset(name.lower() for name in known), allow_unknown is not None)

    def members(self, payload: DocumentValue) -> None:
        """Add a warning for each member that the schema lacks, and an error for each literal of another type."""
        if self.published is None:
            return
        for record in payload.objects():
            self._object(record, self.published, "")

    def matched(self, match: ConfigNode) -> None:
        """Add a warning for each name under `find.match` that looks like a misspelt member: no row would match."""
        if self.published is None:
            return
        for name, member in match.members.items():
            unknown = self.published.kind(name) is None and name.lower() not in self.allowed
            if unknown and (near := nearest(name, self.published.kinds, 1)):
                member.add_warning(f"{self.operation.entity} has no member `{name}`, so no row may match; did you mean {near[0]}?", key=True)

    def _object(self, record: DocumentValue, schema: Members, prefix: str) -> None:
        for member in record.members:
            kind = schema.kind(member.name)
            if member.name.lower() in self.allowed:
                continue
            if kind is None:
                member.spot.warn(self._unknown(member, schema, prefix))
            else:
                self._value(member.value, kind, f"{prefix}{member.name}", schema)

    def _unknown(self, member: Member, schema: Members, prefix: str) -> str:
        near = nearest(member.name, schema.kinds, 1)
        how = f"{self.operation.method} {self.operation.entity}"
        advice = f"; did you mean {near[0]}?" if near else f"; `halo-worker entities {self.operation.entity}` shows its members"
        hint = "; if yours knows it, name it in `allow_unknown`" if self.allowable else ""
        return f"{how} has no member `{prefix}{member.name}` (Halo would ignore it{hint}){advice}"

    def _value(self, value: DocumentValue, kind: str, name: str, schema: Members) -> None:
        inner = schema.inside(kind)
        if value.kind == "choice":
            for item in value.items:
                self._value(item, kind, name, schema)
        elif kind.startswith(ARRAY) and value.kind == "array":
            for item in value.items:
                self._value(item, kind.removeprefix(ARRAY), f"{name}[]", schema)
        elif value.kind == "object" and inner is not None:
            self._object(value, inner, f"{name}." if not kind.startswith(ARRAY) else f"{name}[].")
        elif wrong := misfit(value, kind, schema):
            value.spot.error(f"`{name}` {wrong}")


def misfit(value: DocumentValue, kind: str, schema: Members) -> str | None:
    """Return `must be …` if a literal value cannot be of this kind."""
    objects = schema.inside(kind) is not None
    one = kind.removeprefix(ARRAY)  # the worker makes an array of one value
    if value.kind == "text":
        numeric = one in WHOLE_TYPES and not all(PART_OF_A_NUMBER.fullmatch(piece) for piece in value.literal)
        return "must be a whole number, not text" if numeric else ("must be an array of objects" if kind.startswith(ARRAY) else "must be an object") * objects
    if value.kind in {"literal", "result"} and value.literal is not None:
        if objects:
            return "must be an array of objects" if kind.startswith(ARRAY) else "must be an object (names and values)"
        return body_misfit(one, value.literal)
    if value.kind in {"object", "array"}:
        return body_misfit(kind, {} if value.kind == "object" else []) or ("must be an object, not an array" if objects and value.kind == "array" else None)
    return None
