"""A route file as a tree of nodes: each has its value, its place in the text and its members."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.config.interpolation import Unfilled, Variables
from worker.core.errors import Problem

Table = Mapping[str, Any]
"""Rows by the text of their key."""
NodePath = tuple[str | int, ...]
ESCAPES = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class SourceSpan:
    """Line and column count from 1. `start` and `end` are offsets in the text of the file."""

    line: int = 1
    column: int = 1
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class RouteFile:
    """The parts that the nodes of one file share. `problems`: the errors of all files of the directory; `folder`: of the file and of files that it names."""

    name: str
    text: str
    variables: Variables
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    """The warnings of all files."""
    folder: Path = Path()
    tables: dict[str, Table] = field(default_factory=dict)
    """The tables of all files."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfigNode:
    """One value as in the file, before variables are filled in. If `exists` is false, the value is None and the place is that of the nearest ancestor."""

    file: RouteFile
    path: NodePath = ()
    value: Any = None
    place: SourceSpan = SourceSpan()
    key_place: SourceSpan | None = None
    children: Mapping[str | int, ConfigNode] = field(default_factory=dict)
    exists: bool = True

    @property
    def kind(self) -> str:
        """The section of the route file, such as `subscribers`."""
        return str(self.path[0])

    @property
    def name(self) -> str:
        """The node's own key."""
        return str(self.path[-1])

    @property
    def tables(self) -> Collection[str]:
        return self.file.tables

    @property
    def has_client(self) -> bool:
        """Whether the value belongs to one client: publishers and subscribers have one, and actions of a runbook, but not its conditions."""
        match self.path:
            case ("publishers", _, member, *_):
                return member not in {"order_by", "fair_by"}
            case ("runbooks", _, "steps", _, member, *_):
                return member in {"path", "query", "body", "find"}
            case _:
                return self.kind == "subscribers"

    @property
    def member(self) -> str:
        """Return the place of a value in its definition, step or method, such as `transform` or `find.match.serial`."""
        path = self.path[4:] if self.path[2:3] and self.path[2] in {"steps", "methods"} else self.path[2:]
        return ".".join(map(str, path))

    @property
    def members(self) -> Mapping[str, ConfigNode]:
        """The members of a mapping; empty for any other value."""
        return {str(key): child for key, child in self.children.items()} if isinstance(self.value, dict) else {}

    def __contains__(self, key: str | int) -> bool:
        return key in self.children

    def child(self, key: str | int) -> ConfigNode:
        """Return the member or item; a node with `exists` false if the file has none."""
        return self.children.get(key) or ConfigNode(self.file, (*self.path, key), None, self.place, self.key_place, exists=False)

    def problem(self, message: str, offset: int = 0) -> Problem:
        """An error at the value; `offset` counts characters of a text."""
        if not offset or not isinstance(self.value, str):
            return Problem(self.file.name, self.place.line, self.place.column, message)
        index = source_index(self.file.text, self.place, self.value, offset)
        before = self.file.text[:index]
        return Problem(self.file.name, before.count("\n") + 1, index - before.rfind("\n"), message)

    def add_error(self, message: str, offset: int = 0) -> None:
        self.file.problems.append(self.problem(message, offset))

    def add_key_error(self, message: str) -> None:
        """An error at the key, or at the value of a list's item."""
        place = self.key_place or self.place
        self.file.problems.append(Problem(self.file.name, place.line, place.column, message))

    def add_warning(self, message: str, offset: int = 0, *, key: bool = False) -> None:
        """Add a warning: at the value, or at the key."""
        place = self.key_place or self.place
        self.file.warnings.append(Problem(self.file.name, place.line, place.column, message) if key else self.problem(message, offset))

    def fill(self, text: str) -> str:
        """Return the text with its variables filled in; empty if one cannot be filled: `worker.config.validation` reports it."""
        try:
            return self.file.variables.fill(text)
        except Unfilled:
            return ""

    def reference(self) -> str:
        """The file and line of the key, for an error about another node."""
        return f"{self.file.name}:{(self.key_place or self.place).line}"


def source_index(text: str, place: SourceSpan, value: str, offset: int) -> int:
    """Return the file offset of the character at `offset` of a scalar's value. It reads both texts in parallel, past indentation, quotes and escapes."""
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
            return source  # a fold without a character in the source
        source += 1
        if found.isspace() and character.isspace():
            while source < end and text[source].isspace():
                source += 1
            return source
    return end
