"""Reads the YAML 1.2 that route files may hold: plain values, one document, no duplicate keys. Lines and columns are the marks of the parser."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

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
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode

from worker.config.config_node import ConfigNode, NodePath, RouteFile, SourceSpan
from worker.core.errors import ConfigError, Problem

MAX_DEPTH = 40
MAX_CHARACTERS = 1_000_000
MAX_INTEGER = 2**63
PREFIX = "tag:yaml.org,2002:"
CONSTRUCTED = frozenset(PREFIX + kind for kind in ("null", "bool", "int", "float"))
QUOTE_VARIABLE = 'put a variable inside braces or brackets in quotes: {secret: "${NAME}"}'
QUOTE_IT = 'put an expression that begins a value in quotes: "{{ … }}"'


class ParseAborted(Exception):
    """The rest of the file cannot be read after this error."""


def read_yaml(file: RouteFile) -> ConfigNode:
    """The root of the file. Raises `ConfigError` with every error; after an error of syntax the rest is not read."""
    if len(file.text) > MAX_CHARACTERS:
        raise ConfigError([Problem(file.name, 0, 0, f"the file has {len(file.text):,} characters; at most {MAX_CHARACTERS:,} are read")])
    reader = NodeBuilder(file)
    root = ConfigNode(file)
    try:
        root = reader.root()
    except ParseAborted:
        pass
    except MarkedYAMLError as error:
        reader.problems.append(syntax_problem(file, error))
    except (YAMLError, ValueError, IndexError, AssertionError, AttributeError, KeyError, TypeError) as error:
        # for some broken texts the pure parser raises internal exceptions
        reader.problems.append(Problem(file.name, 0, 0, f"the file is not YAML: {plain_reason(error)}"))
    if reader.problems:
        raise ConfigError(reader.problems)
    return root


class NodeBuilder:
    """Builds nodes from the parser's events, and refuses every value that route files may not hold."""

    def __init__(self, file: RouteFile) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._yaml = YAML(typ="safe", pure=True)
        self._events: Iterator[Any] = iter(self._yaml.parse(file.text))

    def root(self) -> ConfigNode:
        root, documents = ConfigNode(self._file), 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document: a route file is one YAML document")
                if event.version not in {None, (1, 2)} or event.tags:
                    self._stop(event, "route files are YAML 1.2, without directives")
            elif isinstance(event, NodeEvent):
                root = self._node(event, ())
        return root

    def _node(self, event: NodeEvent, path: NodePath, key_place: SourceSpan | None = None) -> ConfigNode:
        """Return the node that begins with this event; its child nodes consume the following events."""
        self._refuse_extras(event)
        place = place_of(event)
        if place.start == place.end and key_place is not None:
            place = key_place  # the file has no value here, and the parser's mark is that of the next token
        if isinstance(event, ScalarEvent):
            return ConfigNode(self._file, path, self._scalar(event), place, key_place)
        if len(path) == MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        children = self._items(path) if isinstance(event, SequenceStartEvent) else self._members(path)
        values = {key: child.value for key, child in children.items()}
        return ConfigNode(self._file, path, values if isinstance(event, MappingStartEvent) else list(values.values()), place, key_place, children)

    def _items(self, path: NodePath) -> dict[str | int, ConfigNode]:
        children: dict[str | int, ConfigNode] = {}
        while not isinstance(event := next(self._events), CollectionEndEvent):
            children[len(children)] = self._node(event, (*path, len(children)))
        return children

    def _members(self, path: NodePath) -> dict[str | int, ConfigNode]:
        children: dict[str | int, ConfigNode] = {}
        while not isinstance(event := next(self._events), CollectionEndEvent):
            self._refuse_extras(event)
            if not isinstance(event, ScalarEvent):
                braces = self._file.text[event.start_mark.index - 1 : event.start_mark.index + 1] == "{{"
                self._stop(event, QUOTE_IT if braces else "a key must be text")
            key, key_place = str(event.value), place_of(event)
            if key in children:
                first = children[key].key_place or key_place
                self._add_error(event, f"`{key}` is given twice; the first is in line {first.line}")
            child = self._node(next(self._events), (*path, key), key_place)
            children.setdefault(key, child)
        return children

    def _refuse_extras(self, event: NodeEvent) -> None:
        if isinstance(event, AliasEvent):
            self._stop(event, f"the alias `*{event.anchor}`: aliases are not allowed in route files, write the value out")
        if event.anchor is not None:
            self._stop(event, f"the anchor `&{event.anchor}`: anchors are not allowed in route files")
        if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag is not None:
            self._stop(event, f"the tag `{str(event.tag).replace(PREFIX, '!!')}`: tags are not allowed in route files")

    def _scalar(self, event: ScalarEvent) -> Any:
        """The value by the core schema of YAML 1.2; a date stays text."""
        tag = self._yaml.resolver.resolve(ScalarNode, event.value, event.implicit)
        if str(tag) not in CONSTRUCTED:
            return event.value
        try:
            value = self._yaml.constructor.construct_object(ScalarNode(tag, event.value))
        except ValueError:
            value = math.inf
        too_large = isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER
        if isinstance(value, float) and not math.isfinite(value):
            self._add_error(event, "a number that JSON cannot hold; put it in quotes if it is text")
        elif too_large or (isinstance(value, float) and Decimal(event.value) != Decimal(repr(value))):
            self._add_error(event, "a number with more digits than a route file holds (2^63, or those of a double); put it in quotes if it is text")
        return value

    def _add_error(self, event: Event, message: str) -> None:
        self.problems.append(Problem(self._file.name, event.start_mark.line + 1, event.start_mark.column + 1, message))

    def _stop(self, event: Event, message: str) -> NoReturn:
        self._add_error(event, message)
        raise ParseAborted


def place_of(event: Event) -> SourceSpan:
    return SourceSpan(event.start_mark.line + 1, event.start_mark.column + 1, event.start_mark.index, event.end_mark.index)


def syntax_problem(file: RouteFile, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    near = " ".join(file.text.splitlines()[max(0, line - 2) : line])
    hint = f" ({QUOTE_IT})" if re.search(r"[:-] \{\{", near) else ""
    if re.search(r"[{,\[][^\"']*\$\{", near):
        hint = f" ({QUOTE_VARIABLE})"
    reasons = [part for part in (error.context, error.problem) if part]
    return Problem(file.name, line, column, f"the file is not YAML: {', '.join(reasons)}{hint}")


def plain_reason(error: BaseException) -> str:
    first = next(iter(str(error).splitlines()), "")
    return first if isinstance(error, YAMLError) and first else "its syntax is broken"
