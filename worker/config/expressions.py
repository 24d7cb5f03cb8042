"""Templates and conditions: values of route files that may hold expressions, compiled.

They consist of functions of modules, never of nested functions: another process compiles changed routes and sends them to the worker by pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from worker.config.compiled import Condition, Template
from worker.config.expression_batch import BatchedExpression, ExpressionBatch
from worker.config.expression_literals import literal_errors
from worker.config.lookup_calls import call_problems
from worker.config.mappings import AbsentValue, Composer, Gap, MemberPlace, MissingRule, concatenate, required_value
from worker.config.paths import PathScope, simple_path
from worker.config.source_location import NO_LOCATION, SourceLocation
from worker.config.syntax import ExpressionSyntaxError, parse_expression
from worker.config.template_lexer import OPEN, Embedded, Unclosed, parts, tokens
from worker.config.template_lexer import whole as whole_expression
from worker.core.errors import ConfigError, Problem
from worker.core.evaluation import UNDEFINED
from worker.core.ports import Evaluator

Part = Callable[[Sequence[Any]], Any]
"""Makes a value from the values of the template's expressions."""


@dataclass(slots=True)
class Compilation:
    """The errors and expressions of one template; `names`: the variables of a run that it uses."""

    problems: list[Problem] = field(default_factory=list)
    batch: ExpressionBatch = field(default_factory=ExpressionBatch)
    names: set[str] = field(default_factory=set)


class CompiledTemplate:
    """A `Template`: null stays null; `missing` decides about expressions that yield nothing."""

    def __init__(self, part: Part, batch: ExpressionBatch, missing: MissingRule = "omit") -> None:
        self._part = part
        self._batch = batch
        self._missing = missing

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:
        return required_value(self._part(await self._batch.values(PathScope(context, bindings), evaluator)), self._missing)


class CompiledCondition:
    """A `Condition`: the value's `$boolean`; nothing counts as false."""

    def __init__(self, part: Part, batch: ExpressionBatch) -> None:
        self._part = part
        self._batch = batch

    async def holds(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> bool:
        return to_boolean(self._part(await self._batch.values(PathScope(context, bindings), evaluator)))


def compile_template(value: Any, location: SourceLocation = NO_LOCATION, missing: MissingRule = "omit", name: str = "") -> Template:
    """A value with expressions at any depth; `name`: its own name in errors, if it has one. Raises `ConfigError` with every error in it."""
    compilation = Compilation()
    composer = Composer(
        missing, lambda text, where, place: text_part(text, where, place, compilation, whole=missing == "fail" or place.optional), compilation.problems
    )
    part = composer.part(value, location, MemberPlace((name,) if name else ()))
    if compilation.problems:
        raise ConfigError(compilation.problems)
    return CompiledTemplate(part, compilation.batch, missing)


def compile_expression(text: str, location: SourceLocation = NO_LOCATION, missing: MissingRule = "omit", name: str = "") -> Template:
    """One JSONata text, without braces or in one pair of them. Raises `ConfigError`."""
    part, batch = single_expression_part(text, location, name)
    return CompiledTemplate(part, batch, missing)


def compile_condition(text: str, location: SourceLocation = NO_LOCATION) -> Condition:
    """Compile a condition, like `compile_expression`."""
    return CompiledCondition(*single_expression_part(text, location))


def single_expression_part(text: str, location: SourceLocation, member: str = "") -> tuple[Part, ExpressionBatch]:
    compilation = Compilation()
    try:
        embedded = whole_expression(text) or Embedded(text, 0)
        part = expression_part(embedded, location, compilation, member)
    except Unclosed as error:
        raise ConfigError([location.problem(str(error), error.start)]) from None
    problems = compilation.problems
    if problems and OPEN in text and embedded.text == text:
        hint = f"{problems[0].message}; `{{{{ }}}}` encloses the whole expression or is left out"
        problems = [replace(problems[0], message=hint)]
    if problems:
        raise ConfigError(problems)
    return part, compilation.batch


def text_part(text: str, location: SourceLocation, place: MemberPlace, compilation: Compilation, *, whole: bool) -> Part:
    """Compile a text. `whole`: in a longer text every expression must yield a value; otherwise the text has a gap there."""
    try:
        single = whole_expression(text)
        pieces = parts(text)
    except Unclosed as error:
        compilation.problems.append(location.problem(str(error), error.start))
        return yield_nothing
    if single:
        return expression_part(single, location, compilation, place.member)
    return concatenate(
        [expression_part(piece, location, compilation, place.member) if isinstance(piece, Embedded) else location.fill(piece.text) for piece in pieces],
        whole=whole,
    )


def expression_part(embedded: Embedded, location: SourceLocation, compilation: Compilation, member: str = "") -> Part:
    """Return the part for one expression, by its index in the batch. `member`: the member that it makes, for errors."""
    text = embedded.text
    try:
        variables = parse_expression(text)
    except ExpressionSyntaxError as error:
        hint = "; inside an expression a variable is its name alone, without `<<` and `>>`" if "<<" in text else ""
        compilation.problems.append(location.problem(f"the expression is not valid JSONata: {error}{hint}", embedded.start + error.offset))
        return yield_nothing
    compilation.problems += [location.problem(error.message, embedded.start + error.offset) for error in literal_errors(tuple(tokens(text)))]
    start = location.problem("", embedded.start + len(text) - len(text.lstrip()))
    place = f"the expression at {str(start)[:-2]}" if start.file else "the expression"
    compilation.problems += call_problems(text, embedded.start, location)
    index = compilation.batch.add(BatchedExpression(text, variables, simple_path(text), f"`{member}`: {place}" if member else place))
    absent = AbsentValue((Gap(place, member),))
    return partial(value_or_absent, index, absent)


def value_or_absent(index: int, absent: AbsentValue, values: Sequence[Any]) -> Any:
    value = values[index]
    return absent if value is UNDEFINED else value


def yield_nothing(_given: Any) -> Any:
    return UNDEFINED


def to_boolean(value: Any) -> bool:
    """`$boolean`: a list is true when one of its members is."""
    return any(map(to_boolean, value)) if isinstance(value, list) else bool(value)
