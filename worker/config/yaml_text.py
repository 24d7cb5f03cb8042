"""Reads YAML 1.2 as route files may hold it: plain values only, one document, no names given twice, every value with its place."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import ScalarNode

from worker.config.document import Document, Path, Place
from worker.core.errors import ConfigError, Problem

MAX_DEPTH = 40
MAX_CHARACTERS = 1_000_000
LARGEST_INTEGER = 2**63
PREFIX = "tag:yaml.org,2002:"
CONSTRUCTED = frozenset(PREFIX + kind for kind in ("null", "bool", "int", "float"))
QUOTE_VARIABLE = 'a variable inside braces or brackets must stand in quotes: {secret: "${NAME}"}'
QUOTE_IT = 'an expression that begins a value must stand in quotes: "{{ … }}"'


@dataclass(slots=True)
class Level:
    """A mapping or list being filled; `key` is the member whose value comes next, None where a key is expected."""

    path: Path
    container: dict[str, Any] | list[Any]
    flow: bool
    key: str | None = None


@dataclass(slots=True)
class Reading:
    """What has been read of a file so far."""

    file: str
    text: str
    yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)
    root: Any = None
    documents: int = 0
    problems: list[Problem] = field(default_factory=list)


class Stop(Exception):
    """Reading on would make no sense of what follows."""


def read_yaml(text: str, file: str) -> Document:
    """Raises `ConfigError` with the places of everything that is not allowed; after a mistake of form the rest is not read."""
    reading = Reading(file, text)
    if len(text) > MAX_CHARACTERS:
        raise ConfigError([Problem(file, 0, 0, f"the file has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read")])
    try:
        for event in reading.yaml.parse(text):
            read_event(reading, event)
    except Stop:
        pass
    except MarkedYAMLError as error:
        reading.problems.append(mistake_of_form(reading, error))
    except (YAMLError, ValueError, IndexError, AssertionError, AttributeError, KeyError, TypeError) as error:
        # the pure parser answers some broken texts with the exceptions of its own code
        reading.problems.append(Problem(file, 0, 0, f"the file is not YAML: {plain_reason(error)}"))
    if reading.problems:
        raise ConfigError(reading.problems)
    return Document(file, text, reading.root, reading.keys, reading.values)


def read_event(reading: Reading, event: Event) -> None:
    """One step of the parser. Raises `Stop` after a problem that leaves nothing to go on with."""
    if isinstance(event, DocumentStartEvent):
        start_document(reading, event)
    elif isinstance(event, NodeEvent):
        refuse_extras(reading, event)
        if isinstance(event, CollectionStartEvent):
            open_level(reading, event)
        elif isinstance(event, ScalarEvent):
            read_scalar(reading, event)
    elif isinstance(event, CollectionEndEvent):
        reading.levels.pop()


def start_document(reading: Reading, event: DocumentStartEvent) -> None:
    reading.documents += 1
    if reading.documents > 1:
        add_error(reading, event, "a second document: a route file is one YAML document")
        raise Stop
    if event.version not in {None, (1, 2)} or event.tags:
        add_error(reading, event, "route files are YAML 1.2, without directives")
        raise Stop


def refuse_extras(reading: Reading, event: NodeEvent) -> None:
    if isinstance(event, AliasEvent):
        add_error(reading, event, f"the alias `*{event.anchor}`: aliases are not allowed in route files, write the value out")
        raise Stop
    if event.anchor is not None:
        add_error(reading, event, f"the anchor `&{event.anchor}`: anchors are not allowed in route files")
        raise Stop
    tag = getattr(event, "tag", None)
    if tag is not None:
        add_error(reading, event, f"the tag `{str(tag).replace(PREFIX, '!!')}`: tags are not allowed in route files")
        raise Stop


def open_level(reading: Reading, event: CollectionStartEvent) -> None:
    level = reading.levels[-1] if reading.levels else None
    mapping = isinstance(event, MappingStartEvent)
    if level and isinstance(level.container, dict) and level.key is None:
        braces = reading.text[event.start_mark.index - 1 : event.start_mark.index + 1] == "{{"
        add_error(reading, event, QUOTE_IT if braces else "a key must be text")
        raise Stop
    if len(reading.levels) == MAX_DEPTH:
        add_error(reading, event, f"nested deeper than {MAX_DEPTH} levels")
        raise Stop
    container: dict[str, Any] | list[Any] = {} if mapping else []
    path = put(reading, event, container)
    reading.levels.append(Level(path, container, flow=bool(event.flow_style)))


def read_scalar(reading: Reading, event: ScalarEvent) -> None:
    level = reading.levels[-1] if reading.levels else None
    if level and isinstance(level.container, dict) and level.key is None:
        path = (*level.path, event.value)
        if event.value in level.container:
            first = reading.keys[path]
            add_error(reading, event, f"`{event.value}` is given twice; the first is in line {first.line}")
        else:
            reading.keys[path] = place_of(event)
        level.key = event.value
        return
    put(reading, event, scalar(reading, event))


def put(reading: Reading, event: Event, value: Any) -> Path:
    """Hands a value to the container that waits for it; its path."""
    path: Path = ()
    if not reading.levels:
        reading.root = value
    else:
        level = reading.levels[-1]
        if isinstance(level.container, list):
            path = (*level.path, len(level.container))
            level.container.append(value)
        else:
            key = str(level.key)
            path = (*level.path, key)
            level.container.setdefault(key, value)
            level.key = None
    reading.values.setdefault(path, place_of(event))
    return path


def scalar(reading: Reading, event: ScalarEvent) -> Any:
    """The value by the core schema of YAML 1.2; what looks like a date stays text."""
    tag = reading.yaml.resolver.resolve(ScalarNode, event.value, event.implicit)
    if str(tag) not in CONSTRUCTED:
        return event.value
    try:
        value = reading.yaml.constructor.construct_object(ScalarNode(tag, event.value))
    except ValueError:
        value = math.inf
    too_large = isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER
    if too_large or (isinstance(value, float) and not math.isfinite(value)):
        add_error(reading, event, "a number that JSON cannot hold; put it in quotes if it is text")
    return value


def place_of(event: Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1, event.start_mark.index, event.end_mark.index)


def add_error(reading: Reading, event: Event, message: str) -> None:
    reading.problems.append(Problem(reading.file, event.start_mark.line + 1, event.start_mark.column + 1, message))


def mistake_of_form(reading: Reading, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    lines = reading.text.splitlines()
    near = " ".join(lines[max(0, line - 2) : line])
    hint = f" ({QUOTE_IT})" if re.search(r"[:-] \{\{", near) else ""
    if re.search(r"[{,\[][^\"']*\$\{", near):
        hint = f" ({QUOTE_VARIABLE})"
    reasons = [part for part in (error.context, error.problem) if part]
    return Problem(reading.file, line, column, f"the file is not YAML: {', '.join(reasons)}{hint}")


def plain_reason(error: BaseException) -> str:
    first = next(iter(str(error).splitlines()), "")
    return first if isinstance(error, YAMLError) and first else "its form is broken"
