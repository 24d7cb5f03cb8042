"""Compiles the path of a method: literal text, and variables that each make one segment or a part of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from urllib.parse import unquote

from worker.config.config_node import ConfigNode
from worker.config.interpolation import Unfilled
from worker.config.run_templates import VARIABLE, compile_run_template, split, variable_template
from worker.config.run_values import RunTemplate
from worker.config.template_lexer import Embedded, LiteralText, Unclosed
from worker.core.errors import ConfigError, Problem

SEGMENT = re.compile(r"\{([^{}]*)\}")
FILLED = "\x00"  # replaces a variable in the check of the shape; no file can hold this character
UNSENDABLE = re.compile(r"[\s\x01-\x1f\x7f\\{}]")


def compile_method_path(node: ConfigNode) -> tuple[str | RunTemplate, ...]:
    """The parts of the path, in order; `{name}` is the same as `<<name>>` here."""
    if not isinstance(node.value, str):
        return ()  # validation reports it
    try:
        made = list(path_parts(node.value, node))
    except Unfilled:
        return ()  # validation reports it
    except ConfigError as error:
        node.file.problems.extend(error.problems)
        return ()
    if complaint := path_problem("".join(part if isinstance(part, str) else FILLED for part in made)):
        node.add_error(f"`path` {complaint}")
    return tuple(made)


def path_parts(text: str, node: ConfigNode) -> Iterator[str | RunTemplate]:
    """Raises `ConfigError`, `Unfilled`."""
    try:
        pieces = split(text)
    except Unclosed as error:
        raise ConfigError([node.problem(str(error), error.start)]) from None
    for piece in pieces:
        if isinstance(piece, LiteralText):
            yield from segments(piece, node)
        else:
            marks = "{{}}" if isinstance(piece, Embedded) else "<<>>"
            yield compile_run_template(f"{marks[:2]}{piece.text}{marks[2:]}", ShiftedLocation(node, piece.start - 2))


def segments(literal: LiteralText, node: ConfigNode) -> Iterator[str | RunTemplate]:
    """Literal text cut at its `{name}`."""
    start = 0
    for found in SEGMENT.finditer(literal.text):
        if literal.text[: found.start()].endswith("$"):
            continue  # `${NAME}`
        name = found[1].strip()
        if not VARIABLE.fullmatch(name):
            raise ConfigError([node.problem("`{…}` in a path must hold the name of a variable", literal.start + found.start())])
        if found.start() > start:
            yield node.file.variables.fill(literal.text[start : found.start()])
        yield variable_template(name)
        start = found.end()
    if start < len(literal.text):
        yield node.file.variables.fill(literal.text[start:])


class ShiftedLocation:
    """A `SourceLocation` some characters further on in a text."""

    def __init__(self, node: ConfigNode, by: int) -> None:
        self._node = node
        self._by = by

    @property
    def tables(self) -> Collection[str]:
        return self._node.tables

    @property
    def has_client(self) -> bool:
        return self._node.has_client

    def child(self, key: str | int) -> ShiftedLocation:  # noqa: ARG002  a text has no members
        return self

    def problem(self, message: str, offset: int = 0) -> Problem:
        return self._node.problem(message, self._by + offset)

    def fill(self, text: str) -> str:
        return self._node.fill(text)


def path_problem(shape: str) -> str | None:
    """The error in a path without its variables, or None."""
    if not shape.startswith("/"):
        return "must begin with `/`"
    if "?" in shape or "#" in shape:
        return "must not hold `?` or `#`: write query parameters under `query`"
    if UNSENDABLE.search(shape):
        return "holds a space, a backslash, a brace or a control character"
    inner = shape.split("/")[1:]
    if "" in inner[:-1]:
        return "holds an empty segment (`//`)"
    plain = [unquote(segment) for segment in inner]
    if any(segment in {".", ".."} for segment in plain):
        return "must not hold the segments `.` and `..`"
    if any("/" in segment or "\\" in segment for segment in plain):
        return "holds an encoded slash (`%2f` or `%5c`)"
    return None
