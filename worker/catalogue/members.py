"""What the body of a POST takes, member by member, at any depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from worker.catalogue.arrays import ARRAY, Schemas
from worker.catalogue.parameter_types import FITS, is_number, misfit
from worker.catalogue.published import unpacked

SCALARS = frozenset({"string", "date-span", "byte", "uri", *FITS})
"""Types of which neither an object nor an array is a value. A file (`binary`) is an object with its content in Base64."""


@dataclass(frozen=True)
class Members:
    """The members of one schema. `schemas`: schema to its members, packed by kind; a kind is a type, or the name of a schema, with `[]` before it for an array."""

    name: str
    schemas: Schemas

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each member, by its published name."""
        return unpacked(self.schemas[self.name])

    @cached_property
    def _published(self) -> Mapping[str, str]:
        return {name.lower(): name for name in self.kinds}

    def kind(self, name: str) -> str | None:
        """The kind of a member, whatever its case; None where the schema has no such member."""
        published = self._published.get(name.lower())
        return None if published is None else self.kinds[published]

    def inside(self, kind: str) -> Members | None:
        """The schema of what a member of this kind holds, of each item for an array; None for anything but objects."""
        name = kind.removeprefix(ARRAY)
        return Members(name, self.schemas) if name in self.schemas else None


def body_misfit(kind: str, value: Any) -> str | None:
    """`must be …` when a value in JSON cannot be read as this type, else None. Null and empty text fit everything. The text never holds the value."""
    if kind not in SCALARS or value in (None, ""):
        return None
    if isinstance(value, dict | list):
        return f"must be {'a text' if kind not in FITS else FITS[kind][1].partition(' (')[0]}, not {'an array' if isinstance(value, list) else 'an object'}"
    if kind in {"bool", "boolean"} and is_number(value) and not isinstance(value, str):
        return None  # in JSON 0 and 1 are read as booleans
    if kind in {"int", "integer", "int64"} and isinstance(value, float):
        return "must be a whole number without a fraction (Halo refuses 12.0)"
    wrong = misfit(kind, value)
    return wrong.partition(" (")[0] if wrong else None
