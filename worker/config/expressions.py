"""Values of route files that may hold expressions, compiled: templates and conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from worker.config.compiled import Condition, Template
from worker.config.engine import UNDEFINED, Expression, Input
from worker.config.functions import SyntaxMistake
from worker.config.paths import NotSimple, simple_path
from worker.config.scanner import OPEN, Embedded, Unclosed, parts, whole
from worker.config.where import NOWHERE, Where
from worker.core.errors import ConfigError, ExpressionError, Problem

Part = Callable[[Input], Any]


class Compiled:
    """A `Template`: a member of a mapping that yields nothing is left out, null stays null, and at the top nothing is null."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def evaluate(self, context: Any, bindings: Mapping[str, Any]) -> Any:
        value = self._part(Input(context, bindings))
        return None if value is UNDEFINED else value


class Truth:
    """A `Condition`: as `$boolean` sees the value; nothing is false."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def holds(self, context: Any, bindings: Mapping[str, Any]) -> bool:
        return truth(self._part(Input(context, bindings)))


def compile_template(value: Any, where: Where = NOWHERE) -> Template:
    """A value with expressions at any depth. Raises `ConfigError` with every mistake in it."""
    problems: list[Problem] = []
    part = value_part(value, where, problems)
    if problems:
        raise ConfigError(problems)
    return Compiled(part)


def compile_expression(text: str, where: Where = NOWHERE) -> Template:
    """JSONata as it stands, or in one pair of braces. Raises `ConfigError`."""
    return Compiled(bare_part(text, where))


def compile_condition(text: str, where: Where = NOWHERE) -> Condition:
    """As `compile_expression`, for its truth."""
    return Truth(bare_part(text, where))


def bare_part(text: str, where: Where) -> Part:
    problems: list[Problem] = []
    try:
        embedded = whole(text) or Embedded(text, 0)
        part = expression_part(embedded, where, problems)
    except Unclosed as error:
        raise ConfigError([where.problem(str(error), error.start)]) from None
    if problems and OPEN in text and embedded.text == text:
        hint = f"{problems[0].message}; `{{{{ }}}}` encloses the whole expression or is left out"
        problems = [replace(problems[0], message=hint)]
    if problems:
        raise ConfigError(problems)
    return part


def value_part(value: Any, where: Where, problems: list[Problem]) -> Part:
    if isinstance(value, str):
        return text_part(value, where, problems)
    if isinstance(value, Mapping):
        members = {str(key): value_part(member, where.child(key), problems) for key, member in value.items()}
        return lambda given: {key: result for key, member in members.items() if (result := member(given)) is not UNDEFINED}
    if isinstance(value, list):
        items = [value_part(item, where.child(index), problems) for index, item in enumerate(value)]
        return lambda given: [result for item in items if (result := item(given)) is not UNDEFINED]
    return lambda _given: value


def text_part(text: str, where: Where, problems: list[Problem]) -> Part:
    try:
        single = whole(text)
        pieces = parts(text)
    except Unclosed as error:
        problems.append(where.problem(str(error), error.start))
        return nothing
    if single:
        return expression_part(single, where, problems)
    made = [expression_part(piece, where, problems) if isinstance(piece, Embedded) else where.fill(piece.text) for piece in pieces]
    if all(isinstance(piece, str) for piece in made):
        literal = "".join(str(piece) for piece in made)
        return lambda _given: literal
    return lambda given: "".join(piece if isinstance(piece, str) else as_text(piece(given)) for piece in made)


def expression_part(embedded: Embedded, where: Where, problems: list[Problem]) -> Part:
    try:
        expression = Expression(embedded.text)
    except SyntaxMistake as error:
        hint = "; inside an expression a variable is its name alone, without `<<` and `>>`" if "<<" in embedded.text else ""
        problems.append(where.problem(f"the expression is not valid JSONata: {error}{hint}", embedded.start + error.offset))
        return nothing
    told = where.problem("", embedded.start + len(embedded.text) - len(embedded.text.lstrip()))
    place = f"the expression at {str(told)[:-2]}" if told.file else "the expression"

    def evaluated(given: Input) -> Any:
        try:
            return expression.evaluate(given)
        except ExpressionError as error:
            raise ExpressionError(f"{place}: {error}") from None

    path = simple_path(embedded.text)
    if path is None:
        return evaluated

    def read(given: Input) -> Any:
        try:
            return path.read(given)
        except NotSimple:
            return evaluated(given)

    return read


def nothing(_given: Input) -> Any:
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
