"""A route file once read: its values, and where in the text each key and value stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.core.errors import Problem

Path = tuple[str | int, ...]
ESCAPES = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column count from 1. `start` and `end` are the value's offsets in the text of the file."""

    line: int
    column: int
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """`value` holds plain dicts, lists, texts, numbers, booleans and None; `keys` and `values` tell the place for each path from the root."""

    file: str
    text: str
    value: Any
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)

    def at(self, path: Path) -> Any:
        """The value at a path that exists."""
        value = self.value
        for step in path:
            value = value[step]
        return value

    def key_problem(self, path: Path, message: str) -> Problem:
        """A mistake told at the key, or at the value of a list's item."""
        place = self.keys.get(path) or self.values.get(path) or Place(1, 1)
        return Problem(self.file, place.line, place.column, message)

    def value_problem(self, path: Path, message: str, offset: int = 0) -> Problem:
        """A mistake told at the value; `offset` counts characters of a text value."""
        place = self.values.get(path) or self.keys.get(path) or Place(1, 1)
        if place.start == place.end and path in self.keys:
            place = self.keys[path]  # nothing is written there; the parser's place is that of what comes next
        value = self.at(path) if offset and path in self.values else None
        if not isinstance(value, str):
            return Problem(self.file, place.line, place.column, message)
        index = source_index(self.text, place, value, offset)
        before = self.text[:index]
        return Problem(self.file, before.count("\n") + 1, index - before.rfind("\n"), message)


def source_index(text: str, place: Place, value: str, offset: int) -> int:
    """Where in the file the character at `offset` of a scalar's value stands: both are walked side by side, past indentation, quotes and escapes."""
    source = place.start
    if text[source : source + 1] in {"|", ">"}:
        source = text.find("\n", source) + 1
    elif text[source : source + 1] in {'"', "'"}:
        source += 1
    quoted = text[place.start : place.start + 1] == '"'
    for character in value[:offset]:
        source = after_character(text, source, place.end, character, quoted=quoted)
    while source < place.end and offset < len(value) and not value[offset].isspace() and text[source].isspace():
        source += 1
    return min(source, place.end)


def after_character(text: str, source: int, end: int, character: str, *, quoted: bool) -> int:
    """The offset behind one character of a value."""
    while source < end:
        found = text[source]
        if quoted and found == "\\" and text[source + 1 : source + 2] != "\n":
            return source + 2 + ESCAPES.get(text[source + 1 : source + 2], 0)
        if found == character:
            return source + 1 + (not quoted and text.startswith("''", source) and character == "'")
        if character.isspace() and not found.isspace():
            return source  # a fold that left nothing behind in the source
        source += 1
        if found.isspace() and character.isspace():
            while source < end and text[source].isspace():
                source += 1
            return source
    return end
