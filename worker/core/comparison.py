"""Compares JSON values, and names the places where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Absent:
    """The type of ABSENT, which stands for a missing member or item."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A place where two values differ: `place` such as `request.body[0].client_id`; either value may be ABSENT."""

    place: str
    expected: Any
    found: Any


def mismatches(place: str, expected: Any, found: Any) -> Iterator[Mismatch]:
    """The innermost places that differ. Numbers of the same value are equal; true and false are not numbers."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in dict.fromkeys((*expected, *found)):
            yield from mismatches(f"{place}.{name}", expected.get(name, ABSENT), found.get(name, ABSENT))
    elif isinstance(expected, list) and isinstance(found, list):
        for index in range(max(len(expected), len(found))):
            yield from mismatches(f"{place}[{index}]", item(expected, index), item(found, index))
    elif isinstance(expected, bool) != isinstance(found, bool) or expected != found:
        yield Mismatch(place, expected, found)


def item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else ABSENT
