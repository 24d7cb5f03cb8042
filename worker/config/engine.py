"""The JSONata engine behind one class: compiled once, evaluated under limits, silent about data in its errors. Only this module knows which engine it is.

What the engine does to numbers: it calculates in floats, so an integer beyond 2^53 loses digits when it goes through it, and those beyond 64 bits are refused.
Values that are only passed through (see `paths`) do not meet it. What it cannot bound is memory within one step, such as `$replace` of every character of a long text:
sizes of input and output are limited here, the container's memory is the last limit.
"""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jsonatapy
import orjson

from worker.config.explanations import explain
from worker.config.functions import SyntaxMistake, check_functions, pad
from worker.config.plain import plain
from worker.config.scanner import Token, tokens
from worker.core.errors import ExpressionError

TIMEOUT = 0.5  # seconds, for all expressions of one template together
TRIAL = 50  # milliseconds
NEAR_THE_END = 200  # pieces
MAX_STACK = 200
MAX_SEQUENCE = 100_000
MAX_INPUT = 4 * 1024 * 1024  # bytes of JSON
MAX_OUTPUT = 4 * 1024 * 1024
MAX_SOURCE = 64 * 1024  # characters


class Undefined:
    """The type of UNDEFINED: what JSONata yields where there is nothing, not even null."""

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


class Input:
    """A context for several expressions: converted for the engine once, when the first of them needs it; they share one time limit."""

    def __init__(self, context: Any, bindings: Mapping[str, Any]) -> None:
        self.context = context
        self._bindings = bindings
        self._plain: dict[str, Any] = {}
        self._handle: jsonatapy.JsonataData | None = None
        self._deadline = 0.0

    def binding(self, name: str) -> Any:
        """A variable's value, or UNDEFINED."""
        if name not in self._plain:
            self._plain[name] = plain(self._bindings[name]) if name in self._bindings else UNDEFINED
        return self._plain[name]

    def handle(self) -> jsonatapy.JsonataData:
        if self._handle is None:
            check_size(self.context, MAX_INPUT, "the input")
            self._deadline = time.monotonic() + TIMEOUT
            try:
                self._handle = jsonatapy.JsonataData(self.context)
            except (TypeError, OverflowError, ValueError):
                raise ExpressionError("the input holds a value that expressions cannot take, such as an integer beyond 64 bits") from None
        return self._handle

    def milliseconds_left(self) -> int:
        return max(1, round((self._deadline - time.monotonic()) * 1000))


class Expression:
    """One compiled JSONata text. Raises `SyntaxMistake` when it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = list(tokens(text))
        self.variables = frozenset(token.text[1:] for token in pieces if token.kind == "variable")
        if len(text) > MAX_SOURCE:
            raise SyntaxMistake(f"the expression has {len(text):,} characters; at most {MAX_SOURCE:,} are taken", 0)
        self._literals = frozenset(token.text[1:-1] for token in pieces if token.kind == "string")
        parse(text)
        check_functions(pieces)
        # inside an object, nothing (the member is absent) and null can be told apart
        self._compiled = jsonatapy.compile(f'{{"v":({text})}}', max_stack_depth=MAX_STACK, max_sequence_length=MAX_SEQUENCE)
        if "pad" in self.variables:
            self._compiled.register_override("pad", pad)
        if "random" in self.variables:
            self._compiled.register_override("random", random.random)  # noqa: S311  JSONata promises no secrecy here; the engine lacks it
        self._try()

    def _try(self) -> None:
        """Some mistakes of form (codes that begin with S) come up only when the engine evaluates."""
        try:
            self._compiled.evaluate({}, timeout=TRIAL)
        except ValueError as error:
            if (complaint := str(error)).startswith("S"):
                raise SyntaxMistake(explain(complaint, self._literals), len(self.text) - len(self.text.lstrip())) from None

    def evaluate(self, given: Input) -> Any:
        """The value, or UNDEFINED. Raises `ExpressionError`."""
        handle = given.handle()
        bindings = {name: value for name in self.variables if (value := given.binding(name)) is not UNDEFINED} or None
        try:
            result = self._compiled.evaluate_with_data(handle, bindings, timeout=given.milliseconds_left())
        except (ValueError, TypeError, OverflowError) as error:
            raise ExpressionError(explain(str(error), self._literals)) from None
        value = result.get("v", UNDEFINED)
        if type(value) in {str, bool, int} and value is not UNDEFINED and (type(value) is not str or len(value) < MAX_OUTPUT // 4):
            return value
        if not finite(value):
            raise ExpressionError("a number in the result is not finite (a division by zero?)")
        check_size(value, MAX_OUTPUT, "the result")
        return value


def parse(text: str) -> None:
    """Raises `SyntaxMistake` with the place: the start of the shortest tail on which the complaint depends, since the engine tells no position."""
    complaint = complaint_about(text)
    if complaint is None:
        return
    pieces = [token for token in tokens(text) if token.kind not in {"space", "comment"}]
    raise SyntaxMistake(explain(complaint, frozenset()), culprit(text, complaint, pieces))


def culprit(text: str, complaint: str, pieces: Sequence[Token]) -> int:
    """Where the shortest prefix ends whose complaint, and that of all longer ones, is this one. The last pieces are tried one by one, the others by halves."""

    def complains(index: int) -> bool:
        return complaint_about(text[: pieces[index].end]) == complaint

    first = len(pieces)
    while first and len(pieces) - first < NEAR_THE_END and complains(first - 1):
        first -= 1
    if first and complains(first - 1):
        first = bisect_left(range(first - 1), True, key=complains)
    return pieces[first].start if first < len(pieces) else len(text.rstrip())


def complaint_about(text: str) -> str | None:
    try:
        jsonatapy.compile(text)
    except ValueError as error:
        return str(error)
    return None


def finite(value: Any) -> bool:
    """Whether no number in the value is infinite or not a number; JSON would make them null in silence."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return all(map(finite, value)) if isinstance(value, list) else True


def check_size(value: Any, limit: int, what: str) -> None:
    if value is UNDEFINED:
        return
    try:
        size = len(orjson.dumps(value))
    except TypeError:
        raise ExpressionError(f"{what} cannot be written as JSON") from None
    if size > limit:
        raise ExpressionError(f"{what} has {size:,} bytes as JSON; an expression takes at most {limit:,}")
