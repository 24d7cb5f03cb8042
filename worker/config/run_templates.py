"""Values of calls that may hold `<<Name>>` and `{{ JSONata }}` at any depth, compiled.

`<<Name>>` is a variable of the run; `<<request>>` and `<<response>>` are the starting payload and the last answer, and take a path: `<<request^ticket^id>>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from worker.config.automation import RunTemplate, Values
from worker.config.expressions import Compiling as CompilingExpressions
from worker.config.expressions import as_text, expression_part
from worker.config.paths import Input
from worker.config.sites import Sites
from worker.config.source_location import NO_LOCATION, SourceLocation
from worker.config.template_lexer import OPEN, Embedded, LiteralText, Unclosed, parts
from worker.config.variables import VariablePath, VariableSyntaxError, parse_variable
from worker.core.errors import ConfigError, ExpressionError, Problem
from worker.core.evaluation import UNDEFINED
from worker.core.ports import Evaluator

OPEN_VARIABLE = "<<"
CLOSE_VARIABLE = ">>"
VARIABLE = re.compile(r"[\w.-](?:[\w .-]*[\w.-])?")
PAYLOADS = re.compile(r"(?:request|response)(?![\w .-])")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Given:
    """What the parts of a template see: the values of the run, and those of the template's expressions."""

    values: Values
    results: Sequence[Any]


Part = Callable[[Given], Any]


@dataclass(slots=True)
class Compiling:
    """What is wrong so far, and the variables and expressions met."""

    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    sites: Sites = field(default_factory=Sites)


class CompiledRunTemplate:
    """A `RunTemplate`: a member of a mapping whose expression yields nothing is left out; a variable that is missing is null."""

    def __init__(self, part: Part, names: frozenset[str], sites: Sites | None = None) -> None:
        self._part = part
        self._names = names
        self._sites = sites or Sites()

    @property
    def names(self) -> frozenset[str]:
        return self._names

    async def fill(self, values: Values, evaluator: Evaluator) -> Any:
        value = self._part(Given(values, await self._sites.values(Input(values.context(), {}), evaluator)))
        return None if value is UNDEFINED else value


def compile_run_template(value: Any, location: SourceLocation = NO_LOCATION) -> RunTemplate:
    """A value with variables and expressions at any depth. Raises `ConfigError` with every mistake in it."""
    compiling = Compiling()
    part = value_part(value, location, compiling)
    if compiling.problems:
        raise ConfigError(compiling.problems)
    return CompiledRunTemplate(part, frozenset(compiling.names), compiling.sites)


def variable_template(name: str) -> RunTemplate:
    """The template of one variable alone."""
    return CompiledRunTemplate(variable_part(name, alone=True), frozenset((name,)))


class BoundRunTemplate:
    """A template location a template is expected: its context is `Values.context()`; `plain` are the variables that go into longer text without quotes."""

    def __init__(self, run_template: RunTemplate, plain: frozenset[str]) -> None:
        self._template = run_template
        self._plain = plain

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:  # noqa: ARG002  a template's signature; a run has no bindings
        return await self._template.fill(Values(context, self._plain, context.get("status"), context.get("response"), context.get("request")), evaluator)


def value_part(value: Any, location: SourceLocation, compiling: Compiling) -> Part:
    if isinstance(value, str):
        return text_part(value, location, compiling)
    if isinstance(value, Mapping):
        for key in value:
            check_name(str(key), location.child(key), compiling)
        members = {str(key): value_part(member, location.child(key), compiling) for key, member in value.items()}
        return lambda given: {key: result for key, member in members.items() if (result := member(given)) is not UNDEFINED}
    if isinstance(value, list):
        items = [value_part(item, location.child(index), compiling) for index, item in enumerate(value)]
        return lambda given: [result for item in items if (result := item(given)) is not UNDEFINED]
    return lambda _given: value


def check_name(name: str, location: SourceLocation, compiling: Compiling) -> None:
    """The names of members are fixed: a variable in one would be sent as it is written."""
    if OPEN in name or OPEN_VARIABLE in name:
        compiling.problems.append(location.problem("the name of a member holds a variable or an expression: only values are filled"))


def text_part(text: str, location: SourceLocation, compiling: Compiling) -> Part:
    """The one thing that the text is, space around it apart, keeps its type; else everything in it is put together as text."""
    try:
        pieces = [inner for piece in parts(text) for inner in ([piece] if isinstance(piece, Embedded) else split_references(piece))]
    except Unclosed as error:
        compiling.problems.append(location.problem(str(error), error.start))
        return lambda _given: UNDEFINED
    telling = [piece for piece in pieces if not isinstance(piece, LiteralText) or piece.text.strip()]
    if len(telling) == 1 and not isinstance(telling[0], LiteralText):
        return piece_part(telling[0], location, compiling, alone=True)
    made = [location.fill(piece.text) if isinstance(piece, LiteralText) else piece_part(piece, location, compiling, alone=False) for piece in pieces]
    if all(isinstance(piece, str) for piece in made):
        literal = "".join(map(str, made))
        return lambda _given: literal
    return lambda given: "".join(piece if isinstance(piece, str) else as_text(piece(given)) for piece in made)


@dataclass(frozen=True, slots=True)
class Reference:
    """What stands between `<<` and `>>`; `start` is location its first character stands."""

    text: str
    start: int


def split_references(literal: LiteralText) -> list[LiteralText | Reference]:
    """The text outside of expressions, cut at its variables. Raises `Unclosed`."""
    found: list[LiteralText | Reference] = []
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


def names_in(text: str) -> list[tuple[str, int]]:
    """The variables that a text uses, with the places location they stand; none when it is broken, which compiling tells."""
    try:
        pieces = [inner for piece in parts(text) if isinstance(piece, LiteralText) for inner in split_references(piece)]
    except Unclosed:
        return []
    named = [(piece.text.strip(), piece.start) for piece in pieces if isinstance(piece, Reference)]
    return [(name, start) for name, start in named if VARIABLE.fullmatch(name) and not PAYLOADS.match(name)]


def piece_part(piece: Embedded | LiteralText | Reference, location: SourceLocation, compiling: Compiling, *, alone: bool) -> Part:
    if isinstance(piece, Embedded):
        expression = expression_part(piece, location, CompilingExpressions(compiling.problems, compiling.sites))
        return lambda given: expression(given.results)
    name = piece.text.strip()
    if PAYLOADS.match(name):
        return payload_part(piece, location, compiling, alone=alone)
    if VARIABLE.fullmatch(name):
        compiling.names.add(name)
        return variable_part(name, alone=alone)
    said = "`<<…>>` holds the name of a variable: letters, digits, spaces, `_`, `-` and `.`; write {{ '<<' }} for the characters themselves"
    compiling.problems.append(location.problem(said, piece.start))
    return lambda _given: UNDEFINED


def payload_part(piece: Embedded | LiteralText | Reference, location: SourceLocation, compiling: Compiling, *, alone: bool) -> Part:
    """A path into the starting payload or the last answer."""
    try:
        path = parse_variable(piece.text)
    except VariableSyntaxError as error:
        compiling.problems.append(location.problem(f"`<<…>>` is no expression of a variable: {error}", piece.start + error.column - 1))
        return lambda _given: UNDEFINED

    def followed(given: Given) -> Any:
        return shown(str(path), found_in(path, given.values), alone=alone, plain=path.plain)

    return followed


def found_in(path: VariablePath, values: Values) -> Any:
    """The value, or UNDEFINED."""
    found = path.find(values.request if path.root == "request" else values.response)
    return found.value if found.there else UNDEFINED


def variable_part(name: str, *, alone: bool) -> Part:
    def read(given: Given) -> Any:
        return shown(name, given.values.variables.get(name, UNDEFINED), alone=alone, plain=name in given.values.plain)

    return read


def shown(name: str, value: Any, *, alone: bool, plain: bool) -> Any:
    """A value alone is itself; in longer text it is its JSON text, or without the quotes when it is plain. A missing one is null, or empty text."""
    if value is UNDEFINED:
        log.warning("variable.missing", variable=name)
        return None if alone else ""
    if alone or (plain and isinstance(value, str)):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise ExpressionError(f"the variable {name} cannot be written as JSON") from None
