"""Members that Halo publishes as arrays: one value in place of an array is wrapped, at any depth.

An expression that yields one row yields the row, not an array of one (JSONata); Halo refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ARRAY = "[]"
Schemas = Mapping[str, Mapping[str, str]]
"""Schema to the members that matter: `[]Name` is an array of the objects of a schema, `[]` one of anything else, `Name` an object."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema of a body, or of one record of it."""

    name: str
    schemas: Schemas

    def wrap(self, value: Any) -> Any:
        """The record, or each of an array of records, with arrays where the schema says array; other values unchanged."""
        if isinstance(value, list):
            return [self.wrap(item) for item in value]
        members = self.schemas.get(self.name)
        if members is None or not isinstance(value, dict):
            return value
        return {name: self._member(kind, its) if (kind := members.get(name) or members.get(name.lower())) else its for name, its in value.items()}

    def _member(self, kind: str, value: Any) -> Any:
        inner = Shape(kind.removeprefix(ARRAY), self.schemas)
        if not kind.startswith(ARRAY):
            return inner.wrap(value) if isinstance(value, dict) else value
        if value is None or isinstance(value, list):
            return inner.wrap(value)
        return [inner.wrap(value)] if isinstance(value, dict) or not inner.name else value  # a text where objects belong stays what Halo is to refuse
