"""Run templates: values of calls that may hold `<<Name>>` and `{{ JSONata }}` at any depth, compiled.

`<<Name>>` is a variable of the run; `<<request>>` and `<<response>>` are the starting payload and the last answer, and take a path: `<<request^ticket^id>>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from worker.config.expression_batch import ExpressionBatch
from worker.config.expressions import Compilation, expression_part, yield_nothing
from worker.config.mappings import Composer, MemberPlace, MissingRule, as_text, concatenate, required_value
from worker.config.paths import PathScope
from worker.config.run_values import RunTemplate, Values
from worker.config.source_location import NO_LOCATION, SourceLocation
from worker.config.template_lexer import OPEN, Embedded, LiteralText, Unclosed, parts
from worker.config.variables import VariablePath, VariableSyntaxError, parse_variable
from worker.core.errors import ConfigError, ExpressionError, Undecodable
from worker.core.evaluation import UNDEFINED, Undefined
from worker.core.json_codec import encode
from worker.core.ports import Evaluator

OPEN_VARIABLE = "<<"
CLOSE_VARIABLE = ">>"
VARIABLE = re.compile(r"[\w.-](?:[\w .-]*[\w.-])?")
UNESCAPED_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
PAYLOADS = re.compile(r"(?:request|response)(?![\w .-])")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunInput:
    """The values of the run, and the results of the template's expressions."""

    values: Values
    results: Sequence[Any]


RunPart = Callable[[RunInput], Any]


class CompiledRunTemplate:
    """A `RunTemplate`: `missing` decides about expressions that yield nothing; a missing variable is null, unless its member is optional."""

    def __init__(self, part: RunPart, names: frozenset[str], batch: ExpressionBatch | None = None, missing: MissingRule = "omit") -> None:
        self._part = part
        self._names = names
        self._batch = batch or ExpressionBatch()
        self._missing = missing

    @property
    def names(self) -> frozenset[str]:
        return self._names

    async def fill(self, values: Values, evaluator: Evaluator) -> Any:
        return required_value(self._part(RunInput(values, await self._batch.values(PathScope(values.context(), values.bindings), evaluator))), self._missing)


class BoundRunTemplate:
    """A run template in the place of a `Template`: its context is `Values.context()`. `plain`: the variables that go into longer text without quotes."""

    def __init__(self, template: RunTemplate, plain: frozenset[str]) -> None:
        self._template = template
        self._plain = plain

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:  # noqa: ARG002  a template's signature; a run has no bindings
        return await self._template.fill(Values(context, self._plain, context.get("status"), context.get("response"), context.get("request")), evaluator)


@dataclass(frozen=True, slots=True)
class Reference:
    """The text between `<<` and `>>`; `start` is the offset of its first character."""

    text: str
    start: int


def compile_run_template(value: Any, location: SourceLocation = NO_LOCATION, missing: MissingRule = "omit", name: str = "") -> RunTemplate:
    """A value with variables and expressions at any depth; `name`: its own name in errors, if it has one. Raises `ConfigError` with every error in it."""
    compilation = Compilation()
    check_member_names(value, location, compilation)

    def text_part(text: str, where: SourceLocation, place: MemberPlace) -> RunPart:
        return run_text_part(text, where, place, compilation, whole=missing == "fail" or place.optional)

    part = Composer(missing, text_part, compilation.problems).part(value, location, MemberPlace((name,) if name else ()))
    if compilation.problems:
        raise ConfigError(compilation.problems)
    return CompiledRunTemplate(part, frozenset(compilation.names), compilation.batch, missing)


def compile_json_text(text: str, location: SourceLocation, missing: MissingRule = "omit", name: str = "") -> RunTemplate:
    """Compile a text that is JSON after filling. It refuses a value inside quotes that would end them, or change the rest. Raises `ConfigError`."""
    compilation = Compilation()
    parts: list[str | RunPart] = []
    quoted = False
    try:
        for piece in split(text):
            if isinstance(piece, LiteralText):
                parts.append(location.fill(piece.text))
                quoted ^= len(UNESCAPED_QUOTE.findall(piece.text)) % 2 == 1
            else:
                part = piece_part(piece, location, compilation, name, alone=False)
                parts.append(within_quotes(part) if quoted else part)
    except Unclosed as error:
        compilation.problems.append(location.problem(str(error), error.start))
    if compilation.problems:
        raise ConfigError(compilation.problems)
    return CompiledRunTemplate(concatenate(parts, whole=missing == "fail"), frozenset(compilation.names), compilation.batch, missing)


def within_quotes(part: RunPart) -> RunPart:
    """Return the text of a value between quotes. Raises `ExpressionError` for a value that JSON has to escape."""
    return partial(quoted_text, part)


def quoted_text(part: RunPart, given: RunInput) -> Any:
    value = part(given)
    if isinstance(value, Undefined):
        return value
    text = as_text(value)
    if encode(text) != f'"{text}"'.encode(errors="surrogatepass"):
        raise ExpressionError(
            "a value inside the quotes of the JSON text holds a quote, a backslash or a line break, which would change the JSON: write the body as a mapping"
        )
    return text


def variable_template(name: str) -> RunTemplate:
    """The run template of one variable alone."""
    return CompiledRunTemplate(variable_part(name, alone=True), frozenset((name,)))


def check_member_names(value: Any, location: SourceLocation, compilation: Compilation) -> None:
    """Refuse variables in the names of members: the names are fixed, and the variable would be sent unfilled."""
    for key, member in value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ():
        place = location.child(key)
        if isinstance(key, str) and (OPEN in key or OPEN_VARIABLE in key):
            compilation.problems.append(place.problem("the name of a member holds a variable or an expression: only values may"))
        check_member_names(member, place, compilation)


def run_text_part(text: str, location: SourceLocation, place: MemberPlace, compilation: Compilation, *, whole: bool) -> RunPart:
    """A variable or expression alone, apart from space around it, keeps its type; otherwise all pieces are one text.

    `whole`: in a longer text every expression must yield a value. At an optional place a single missing variable yields nothing instead of null.
    """
    try:
        pieces = split(text)
    except Unclosed as error:
        compilation.problems.append(location.problem(str(error), error.start))
        return yield_nothing
    visible = [piece for piece in pieces if not isinstance(piece, LiteralText) or piece.text.strip()]
    if len(visible) == 1 and not isinstance(visible[0], LiteralText):
        part = piece_part(visible[0], location, compilation, place.member, alone=True)
        return part if isinstance(visible[0], Embedded) or not place.optional else partial(nothing_for_null, part)
    return concatenate(
        [
            location.fill(piece.text) if isinstance(piece, LiteralText) else piece_part(piece, location, compilation, place.member, alone=False)
            for piece in pieces
        ],
        whole=whole,
    )


def nothing_for_null(part: RunPart, given: RunInput) -> Any:
    value = part(given)
    return UNDEFINED if value is None else value


def of_results(part: Callable[[Sequence[Any]], Any], given: RunInput) -> Any:
    return part(given.results)


def split(text: str) -> list[LiteralText | Embedded | Reference]:
    """The text in order: literal, expressions and variables. Raises `Unclosed`."""
    return [inner for piece in parts(text) for inner in ([piece] if isinstance(piece, Embedded) else split_references(piece))]


def split_references(literal: LiteralText) -> list[LiteralText | Embedded | Reference]:
    """Text without expressions, cut at its variables. Raises `Unclosed`."""
    found: list[LiteralText | Embedded | Reference] = []
    start = 0
    while (opening := literal.text.find(OPEN_VARIABLE, start)) >= 0:
        if opening > start:
            found.append(LiteralText(literal.text[start:opening], literal.start + start))
        begin = opening + len(OPEN_VARIABLE)
        end = literal.text.find(CLOSE_VARIABLE, begin)
        if end < 0:
            raise Unclosed("`<<` is not closed: `>>` is missing; write {{ '<<' }} for the characters themselves", literal.start + opening)
        found.append(Reference(literal.text[begin:end], literal.start + begin))
        start = end + len(CLOSE_VARIABLE)
    if start < len(literal.text):
        found.append(LiteralText(literal.text[start:], literal.start + start))
    return found


def is_single_value(text: str) -> bool:
    """Whether a text is exactly one variable or one expression, so that its value keeps its type. True for a broken text, which compilation reports."""
    try:
        visible = [piece for piece in split(text) if not isinstance(piece, LiteralText) or piece.text.strip()]
    except Unclosed:
        return True
    return len(visible) == 1 and not isinstance(visible[0], LiteralText)


def names_in(text: str) -> list[tuple[str, int]]:
    """The variables that a text uses, with their offsets; empty when it is broken, which compilation reports."""
    try:
        pieces = split(text)
    except Unclosed:
        return []
    named = [(piece.text.strip(), piece.start) for piece in pieces if isinstance(piece, Reference)]
    return [(name, start) for name, start in named if VARIABLE.fullmatch(name) and not PAYLOADS.match(name)]


def piece_part(piece: Embedded | Reference, location: SourceLocation, compilation: Compilation, member: str, *, alone: bool) -> RunPart:
    if isinstance(piece, Embedded):
        return partial(of_results, expression_part(piece, location, compilation, member))
    name = piece.text.strip()
    if PAYLOADS.match(name):
        return payload_part(piece, location, compilation, alone=alone)
    if VARIABLE.fullmatch(name):
        compilation.names.add(name)
        return variable_part(name, alone=alone)
    message = "`<<…>>` must hold the name of a variable: letters, digits, spaces, `_`, `-` and `.`; write {{ '<<' }} for the characters themselves"
    compilation.problems.append(location.problem(message, piece.start))
    return yield_nothing


def payload_part(piece: Reference, location: SourceLocation, compilation: Compilation, *, alone: bool) -> RunPart:
    """A path into the starting payload or the last answer."""
    try:
        path = parse_variable(piece.text)
    except VariableSyntaxError as error:
        compilation.problems.append(location.problem(f"`<<…>>` is not an expression of a variable: {error}", piece.start + error.column - 1))
        return yield_nothing
    return partial(payload_value, path, alone)


def payload_value(path: VariablePath, alone: bool, given: RunInput) -> Any:
    return inserted(str(path), value_at(path, given.values), alone=alone, plain=path.plain)


def value_at(path: VariablePath, values: Values) -> Any:
    """The value, or UNDEFINED."""
    found = path.find(values.request if path.root == "request" else values.response)
    return found.value if found.there else UNDEFINED


def variable_part(name: str, *, alone: bool) -> RunPart:
    return partial(variable_value, name, alone)


def variable_value(name: str, alone: bool, given: RunInput) -> Any:
    return inserted(name, given.values.variables.get(name, UNDEFINED), alone=alone, plain=name in given.values.plain)


def inserted(name: str, value: Any, *, alone: bool, plain: bool) -> Any:
    """Return a value alone as it is; in longer text its JSON text, without quotes if it is plain. A missing value is null, in longer text empty."""
    if value is UNDEFINED:
        log.warning("variable.missing", variable=name)
        return None if alone else ""
    if alone or (plain and isinstance(value, str)):
        return value
    try:
        return encode(value).decode()
    except Undecodable:
        raise ExpressionError(f"the variable {name} cannot be written as JSON") from None
