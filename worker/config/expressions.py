"""Templates and conditions: values of route files that may hold expressions, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, TypeVar

from worker.config.compiled import Condition, Template
from worker.config.expression_batch import BatchedExpression, ExpressionBatch
from worker.config.expression_literals import literal_errors
from worker.config.paths import Scope, simple_path
from worker.config.source_location import NO_LOCATION, SourceLocation
from worker.config.syntax import ExpressionSyntaxError, parse_expression
from worker.config.template_lexer import OPEN, Embedded, Unclosed, parts, tokens, whole
from worker.core.errors import ConfigError, ExpressionError, Problem, Undecodable
from worker.core.evaluation import UNDEFINED
from worker.core.json_codec import encode
from worker.core.ports import Evaluator

G = TypeVar("G")
Part = Callable[[Sequence[Any]], Any]
"""Makes a value of those of the template's expressions."""


@dataclass(slots=True)
class Compilation:
    """The errors and expressions of one template; `names`: the variables of a run that it uses."""

    problems: list[Problem] = field(default_factory=list)
    batch: ExpressionBatch = field(default_factory=ExpressionBatch)
    names: set[str] = field(default_factory=set)


class CompiledTemplate:
    """A `Template`: it leaves out a member of a mapping that yields nothing, keeps null, and yields null for nothing at the top."""

    def __init__(self, part: Part, batch: ExpressionBatch) -> None:
        self._part = part
        self._batch = batch

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:
        value = self._part(await self._batch.values(Scope(context, bindings), evaluator))
        return None if value is UNDEFINED else value


class CompiledCondition:
    """A `Condition`: true as `$boolean` sees the value; nothing is false."""

    def __init__(self, part: Part, batch: ExpressionBatch) -> None:
        self._part = part
        self._batch = batch

    async def holds(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> bool:
        return truth(self._part(await self._batch.values(Scope(context, bindings), evaluator)))


def compile_template(value: Any, location: SourceLocation = NO_LOCATION) -> Template:
    """A value with expressions at any depth. Raises `ConfigError` with every error in it."""
    compilation = Compilation()
    part = compose(value, location, lambda text, place: text_part(text, place, compilation))
    if compilation.problems:
        raise ConfigError(compilation.problems)
    return CompiledTemplate(part, compilation.batch)


def compile_expression(text: str, location: SourceLocation = NO_LOCATION) -> Template:
    """One JSONata text, without braces or in one pair of them. Raises `ConfigError`."""
    return CompiledTemplate(*bare_part(text, location))


def compile_condition(text: str, location: SourceLocation = NO_LOCATION) -> Condition:
    """As `compile_expression`, for its truth."""
    return CompiledCondition(*bare_part(text, location))


def bare_part(text: str, location: SourceLocation) -> tuple[Part, ExpressionBatch]:
    compilation = Compilation()
    try:
        embedded = whole(text) or Embedded(text, 0)
        part = expression_part(embedded, location, compilation)
    except Unclosed as error:
        raise ConfigError([location.problem(str(error), error.start)]) from None
    problems = compilation.problems
    if problems and OPEN in text and embedded.text == text:
        hint = f"{problems[0].message}; `{{{{ }}}}` encloses the whole expression or is left out"
        problems = [replace(problems[0], message=hint)]
    if problems:
        raise ConfigError(problems)
    return part, compilation.batch


def compose(value: Any, location: SourceLocation, compile_text: Callable[[str, SourceLocation], Callable[[G], Any]]) -> Callable[[G], Any]:
    """Makes the value again at run time, with its texts compiled; it leaves out a member or item that yields UNDEFINED."""
    if isinstance(value, str):
        return compile_text(value, location)
    if isinstance(value, Mapping):
        members = {str(key): compose(member, location.child(key), compile_text) for key, member in value.items()}
        return lambda given: {key: result for key, member in members.items() if (result := member(given)) is not UNDEFINED}
    if isinstance(value, list):
        items = [compose(item, location.child(index), compile_text) for index, item in enumerate(value)]
        return lambda given: [result for item in items if (result := item(given)) is not UNDEFINED]
    return lambda _given: value


def concatenate(pieces: Sequence[str | Callable[[G], Any]]) -> Callable[[G], Any]:
    """One text of literal pieces and values."""
    if all(isinstance(piece, str) for piece in pieces):
        literal = "".join(map(str, pieces))
        return lambda _given: literal
    return lambda given: "".join(piece if isinstance(piece, str) else as_text(piece(given)) for piece in pieces)


def text_part(text: str, location: SourceLocation, compilation: Compilation) -> Part:
    try:
        single = whole(text)
        pieces = parts(text)
    except Unclosed as error:
        compilation.problems.append(location.problem(str(error), error.start))
        return nothing
    if single:
        return expression_part(single, location, compilation)
    return concatenate([expression_part(piece, location, compilation) if isinstance(piece, Embedded) else location.fill(piece.text) for piece in pieces])


def expression_part(embedded: Embedded, location: SourceLocation, compilation: Compilation) -> Part:
    """The value of one expression, by its index in the batch."""
    text = embedded.text
    try:
        variables = parse_expression(text)
    except ExpressionSyntaxError as error:
        hint = "; inside an expression a variable is its name alone, without `<<` and `>>`" if "<<" in text else ""
        compilation.problems.append(location.problem(f"the expression is not valid JSONata: {error}{hint}", embedded.start + error.offset))
        return nothing
    compilation.problems += [location.problem(error.message, embedded.start + error.offset) for error in literal_errors(tuple(tokens(text)))]
    start = location.problem("", embedded.start + len(text) - len(text.lstrip()))
    place = f"the expression at {str(start)[:-2]}" if start.file else "the expression"
    return itemgetter(compilation.batch.add(BatchedExpression(text, variables, simple_path(text), place)))


def nothing(_given: Any) -> Any:
    return UNDEFINED


def as_text(value: Any) -> str:
    """A value as part of a longer text."""
    if value is None or value is UNDEFINED:
        return ""
    if isinstance(value, str):
        return value
    try:
        return encode(value).decode()
    except Undecodable:
        raise ExpressionError("a value inside a text cannot be written as JSON") from None


def truth(value: Any) -> bool:
    """`$boolean`: a list is true when one of its members is."""
    return any(map(truth, value)) if isinstance(value, list) else bool(value)
