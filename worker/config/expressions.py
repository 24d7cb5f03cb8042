"""Values of route files that may hold expressions, compiled: templates and conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import orjson

from worker.config.compiled import Condition, Template
from worker.config.functions import SyntaxMistake
from worker.config.paths import Input, simple_path
from worker.config.sites import Site, Sites
from worker.config.source_location import NO_LOCATION, SourceLocation
from worker.config.syntax import Expression
from worker.config.template_lexer import OPEN, Embedded, Unclosed, parts, whole
from worker.core.errors import ConfigError, ExpressionError, Problem
from worker.core.evaluation import UNDEFINED
from worker.core.ports import Evaluator

Part = Callable[[Sequence[Any]], Any]
"""Puts a value together from those of the template's expressions."""


@dataclass(slots=True)
class Compiling:
    """What is wrong so far, and the expressions met."""

    problems: list[Problem] = field(default_factory=list)
    sites: Sites = field(default_factory=Sites)


class Compiled:
    """A `Template`: a member of a mapping that yields nothing is left out, null stays null, and at the top nothing is null."""

    def __init__(self, part: Part, sites: Sites) -> None:
        self._part = part
        self._sites = sites

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:
        value = self._part(await self._sites.values(Input(context, bindings), evaluator))
        return None if value is UNDEFINED else value


class Truth:
    """A `Condition`: as `$boolean` sees the value; nothing is false."""

    def __init__(self, part: Part, sites: Sites) -> None:
        self._part = part
        self._sites = sites

    async def holds(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> bool:
        return truth(self._part(await self._sites.values(Input(context, bindings), evaluator)))


def compile_template(value: Any, location: SourceLocation = NO_LOCATION) -> Template:
    """A value with expressions at any depth. Raises `ConfigError` with every mistake in it."""
    compiling = Compiling()
    part = value_part(value, location, compiling)
    if compiling.problems:
        raise ConfigError(compiling.problems)
    return Compiled(part, compiling.sites)


def compile_expression(text: str, location: SourceLocation = NO_LOCATION) -> Template:
    """JSONata as it stands, or in one pair of braces. Raises `ConfigError`."""
    return Compiled(*bare_part(text, location))


def compile_condition(text: str, location: SourceLocation = NO_LOCATION) -> Condition:
    """As `compile_expression`, for its truth."""
    return Truth(*bare_part(text, location))


def bare_part(text: str, location: SourceLocation) -> tuple[Part, Sites]:
    compiling = Compiling()
    try:
        embedded = whole(text) or Embedded(text, 0)
        part = expression_part(embedded, location, compiling)
    except Unclosed as error:
        raise ConfigError([location.problem(str(error), error.start)]) from None
    problems = compiling.problems
    if problems and OPEN in text and embedded.text == text:
        hint = f"{problems[0].message}; `{{{{ }}}}` encloses the whole expression or is left out"
        problems = [replace(problems[0], message=hint)]
    if problems:
        raise ConfigError(problems)
    return part, compiling.sites


def value_part(value: Any, location: SourceLocation, compiling: Compiling) -> Part:
    if isinstance(value, str):
        return text_part(value, location, compiling)
    if isinstance(value, Mapping):
        members = {str(key): value_part(member, location.child(key), compiling) for key, member in value.items()}
        return lambda values: {key: result for key, member in members.items() if (result := member(values)) is not UNDEFINED}
    if isinstance(value, list):
        items = [value_part(item, location.child(index), compiling) for index, item in enumerate(value)]
        return lambda values: [result for item in items if (result := item(values)) is not UNDEFINED]
    return lambda _values: value


def text_part(text: str, location: SourceLocation, compiling: Compiling) -> Part:
    try:
        single = whole(text)
        pieces = parts(text)
    except Unclosed as error:
        compiling.problems.append(location.problem(str(error), error.start))
        return nothing
    if single:
        return expression_part(single, location, compiling)
    made = [expression_part(piece, location, compiling) if isinstance(piece, Embedded) else location.fill(piece.text) for piece in pieces]
    if all(isinstance(piece, str) for piece in made):
        literal = "".join(str(piece) for piece in made)
        return lambda _values: literal
    return lambda values: "".join(piece if isinstance(piece, str) else as_text(piece(values)) for piece in made)


def expression_part(embedded: Embedded, location: SourceLocation, compiling: Compiling) -> Part:
    """The value of one expression; which one it is among the template's is settled here."""
    try:
        expression = Expression(embedded.text)
    except SyntaxMistake as error:
        hint = "; inside an expression a variable is its name alone, without `<<` and `>>`" if "<<" in embedded.text else ""
        compiling.problems.append(location.problem(f"the expression is not valid JSONata: {error}{hint}", embedded.start + error.offset))
        return nothing
    told = location.problem("", embedded.start + len(embedded.text) - len(embedded.text.lstrip()))
    place = f"the expression at {str(told)[:-2]}" if told.file else "the expression"
    return itemgetter(compiling.sites.add(Site(embedded.text, expression.variables, simple_path(embedded.text), place)))


def nothing(_values: Sequence[Any]) -> Any:
    return UNDEFINED


def as_text(value: Any) -> str:
    """How a result looks inside longer text."""
    if value is None or value is UNDEFINED:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as JSONata writes it
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise ExpressionError("a value inside a text cannot be written as JSON") from None


def truth(value: Any) -> bool:
    """`$boolean`: a list holds when one of its members does."""
    return any(map(truth, value)) if isinstance(value, list) else bool(value)
