"""What the body of a POST takes, member by member, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from worker.catalogue.parameter_types import FITS, is_number, misfit
from worker.catalogue.published import ARRAY, unpacked

PackedSchemas = Mapping[str, Mapping[str, str]]
"""Schema to its members, packed by kind. A kind is a type, or the name of a schema, with `[]` before it for an array."""

SCALARS = frozenset({"string", "date-span", "byte", "uri", *FITS})
"""Types of which neither an object nor an array is a value. A file (`binary`) is an object with its content in Base64."""


class Schemas:
    """The schemas of bodies by name. `read` is called once, when the first one is needed."""

    def __init__(self, read: Callable[[], PackedSchemas]) -> None:
        self._read = read
        self._found: dict[str, Members] = {}

    @cached_property
    def packed(self) -> PackedSchemas:
        return self._read()

    def find(self, name: str) -> Members | None:
        """The members of a schema; None for any other name, such as that of a type."""
        if name not in self._found and name in self.packed:
            self._found[name] = Members(name, self)
        return self._found.get(name)

    def wrap(self, name: str, value: Any) -> Any:
        """As `Members.wrap` of this schema; the value unchanged where there is none."""
        members = self.find(name)
        return value if members is None else members.wrap(value)


NO_SCHEMAS = Schemas(dict)


@dataclass(frozen=True)
class Members:
    """The members of one schema."""

    name: str
    schemas: Schemas

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each member, by its published name."""
        return unpacked(self.schemas.packed[self.name])

    @cached_property
    def _by_lower_name(self) -> Mapping[str, str]:
        return {name.lower(): kind for name, kind in self.kinds.items()}

    def kind(self, name: str) -> str | None:
        """The kind of a member, whatever its case; None where the schema has no such member."""
        return self._by_lower_name.get(name.lower())

    def inside(self, kind: str) -> Members | None:
        """The schema of what a member of this kind holds, of each item for an array; None for anything but objects."""
        return self.schemas.find(kind.removeprefix(ARRAY))

    def wrap(self, value: Any) -> Any:
        """The object, or each of an array of objects, with one value in place of an array wrapped, at any depth; other values unchanged.

        An expression that yields one row yields the row, not an array of one (JSONata); Halo refuses it.
        """
        if isinstance(value, list):
            return [self.wrap(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {name: its if (kind := self.kind(name)) is None else self._wrap_member(kind, its) for name, its in value.items()}

    def _wrap_member(self, kind: str, value: Any) -> Any:
        inner = self.inside(kind)
        if not kind.startswith(ARRAY):
            return inner.wrap(value) if inner is not None and isinstance(value, dict) else value
        if inner is None:
            return value if value is None or isinstance(value, list) else [value]
        return inner.wrap([value] if isinstance(value, dict) else value)  # a text where objects belong stays what Halo is to refuse


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
