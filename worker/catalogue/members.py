"""The members that the body of a POST takes, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from worker.catalogue.parameter_types import FITS, is_number, misfit
from worker.catalogue.published import ARRAY, ungrouped

PackedSchemas = Mapping[str, Mapping[str, str]]
"""The members of each schema, packed by kind. A kind is a type, or the name of a schema, with `[]` before it for an array."""

SCALARS = frozenset({"string", "date-span", "byte", "uri", *FITS})
"""Types whose values are neither objects nor arrays. A file (`binary`) is an object with its content in Base64."""


class Schemas:
    """The schemas of bodies by name. `read` is called once, when the first schema is needed."""

    def __init__(self, read: Callable[[], PackedSchemas]) -> None:
        self._read = read
        self._found: dict[str, Members] = {}

    @cached_property
    def packed(self) -> PackedSchemas:
        return self._read()

    def find(self, name: str) -> Members | None:
        """Return the members of a schema; None for any other name, such as that of a type."""
        if name not in self._found and name in self.packed:
            self._found[name] = Members(name, self)
        return self._found.get(name)

    def wrap(self, name: str, value: Any) -> Any:
        """Return `Members.wrap` of this schema; the value unchanged if there is no such schema."""
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
        """Return the kind of each member, by its published name."""
        return ungrouped(self.schemas.packed[self.name])

    @cached_property
    def _by_lower_name(self) -> Mapping[str, str]:
        return {name.lower(): kind for name, kind in self.kinds.items()}

    def kind(self, name: str) -> str | None:
        """Return the kind of a member, ignoring case; None if the schema has no such member."""
        return self._by_lower_name.get(name.lower())

    def inside(self, kind: str) -> Members | None:
        """Return the schema of the object in a member of this kind, of each item for an array; None for anything but objects."""
        return self.schemas.find(kind.removeprefix(ARRAY))

    def wrap(self, value: Any) -> Any:
        """Wrap a single value in an array wherever the schema has an array, at any depth of an object or of an array of objects. Other values stay unchanged.

        In JSONata an expression with one row yields the row, not an array of one; Halo refuses it.
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
        return inner.wrap([value] if isinstance(value, dict) else value)  # a text in place of an object stays as it is: Halo refuses it


def body_misfit(kind: str, value: Any) -> str | None:
    """Return `must be …` if a JSON value does not fit this type, else None. Null and empty text fit every type. The text never holds the value."""
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
