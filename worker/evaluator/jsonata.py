"""The JSONata engine behind one class: it compiles a text once, evaluates it under limits, and quotes no data in errors.

The worker's own process never imports it. The engine calculates in doubles: see `exact` for the numbers that they do not hold. Simple paths (see
`worker.config.paths`) do not use the engine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import jsonatapy

from worker.config.expression_literals import UNKNOWN_COMPONENT, picture_arguments, possible_causes
from worker.config.function_calls import literal_value, unknown_component
from worker.config.jsonata_errors import explain
from worker.config.syntax import enclosed, pad
from worker.config.template_lexer import Token, tokens
from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.core.exact_numbers import has_long_number, loads
from worker.core.lookups import LookupAnswer, Needed
from worker.evaluator.exact import ExactNumbers, PrecisionLost, equates_sums, is_monotonic, merge_results, substituted
from worker.evaluator.functions import Functions
from worker.evaluator.limits import MAX_SEQUENCE, MAX_STACK

TIMED_OUT = "D1012"
CHECKED = "picture_of_a_run"
TIMES = frozenset(("now", "millis"))
TRIES = 5
EXPONENT = b"e+"
NO_ANSWERS: Mapping[str, LookupAnswer] = {}


class TimedOut(ExpressionError):
    """The evaluation reached its time limit."""


def with_checked_pictures(text: str, pieces: Sequence[Token]) -> str:
    """Return the text with a check around each computed picture of `$fromMillis`: the engine shows an unknown component with a width as `ISO`.

    The check is a step of a path, so that an absent picture stays absent.
    """
    given = [each for each in picture_arguments(pieces) if each.function == "$fromMillis" and each.picture is None]
    added = [(each.start, "(") for each in given] + [(each.end, f").${CHECKED}($)") for each in given]
    for offset, mark in sorted(added, reverse=True):
        text = text[:offset] + mark + text[offset:]
    return text


def valid_picture(picture: Any) -> Any:
    """Return a valid picture, or any value that is no picture. Raises `ValueError` for a picture with parts that JSONata does not know."""
    if isinstance(picture, str) and unknown_component(picture):
        raise ValueError(UNKNOWN_COMPONENT)
    return picture


@dataclass(frozen=True, slots=True)
class Failed:
    """An evaluation that failed."""

    reason: str


def handle_of(context: Any) -> jsonatapy.JsonataData:
    """Raises `ExpressionError`."""
    try:
        return jsonatapy.JsonataData(context)
    except (TypeError, OverflowError, ValueError):
        raise ExpressionError("the input holds a value that expressions cannot take") from None


class EvaluationInput:
    """A context: as JSON, in the engine's form, with the answers to its lookups and one time limit for all its expressions."""

    def __init__(self, text: bytes, seconds: float, answers: Mapping[str, LookupAnswer] = NO_ANSWERS) -> None:
        self.answers = answers
        self._deadline = time.monotonic() + seconds
        self.context = loads(text)
        self.may_be_exact = EXPONENT in text or has_long_number(text)  # only then each number is checked

    @cached_property
    def handle(self) -> jsonatapy.JsonataData:
        return handle_of(self.context)

    def exact_numbers(self, bindings: Mapping[str, Any]) -> ExactNumbers:
        """Return the numbers of the context and of these variables that the engine does not hold."""
        return ExactNumbers.of(self.context if self.may_be_exact else None, bindings)

    def milliseconds_left(self) -> int:
        return max(1, round((self._deadline - time.monotonic()) * 1000))


class Expression:
    """One compiled JSONata text that `worker.config.syntax` has accepted."""

    def __init__(self, text: str) -> None:
        self._pieces = pieces = tuple(tokens(text))
        self._variables = frozenset(token.text[1:] for token in pieces if token.kind == "variable")
        self._literals = frozenset(literal_value(token.text) for token in pieces if token.kind == "string")
        self._draws = random.Random()  # noqa: S311  JSONata promises no secrecy here; the engine lacks it
        text = with_checked_pictures(text, pieces)
        self._functions = Functions(tuple(tokens(text)))
        self._compiled = jsonatapy.compile(enclosed(self._functions.wrapped(text)), max_stack_depth=MAX_STACK, max_sequence_length=MAX_SEQUENCE)
        if "pad" in self._variables:
            self._compiled.register_override("pad", pad)
        if "fromMillis" in self._variables:
            self._compiled.register(CHECKED, valid_picture)
        if "random" in self._variables:
            self._compiled.register_override("random", self._draws.random)
        for name, host in self._functions.hosts().items():
            self._compiled.register(name, host)
        self._tries = TRIES if self._variables & TIMES else 1
        marks = frozenset(token.text for token in pieces if token.kind not in {"string", "comment"})
        self._monotonic = is_monotonic(marks, self._variables)
        self._equates_sums = equates_sums(marks, self._variables)

    def evaluate(self, given: EvaluationInput, bindings: Mapping[str, Any]) -> Any:
        """Return the value, UNDEFINED, or `Needed` when lookups need an answer first. Raises `ExpressionError`, `TimedOut`."""
        wanted = {name: bindings[name] for name in self._variables if name in bindings}
        exact = given.exact_numbers(wanted)
        if not exact.members:
            return self._evaluate(given, given.handle, wanted)
        for _ in range(self._tries):
            try:
                return self._exactly(given, wanted, exact)
            except PrecisionLost:
                continue  # a time that the expression asks for may differ between two evaluations
        raise self._refusal(given, wanted, exact)

    def _refusal(self, given: EvaluationInput, bindings: Mapping[str, Any], exact: ExactNumbers) -> ExpressionError:
        """Return an error that names the number on which the result depends."""
        for one in exact.each():
            try:
                self._exactly(given, bindings, one)
            except PrecisionLost:
                return one.refusal()
        return exact.refusal()

    def _exactly(self, given: EvaluationInput, bindings: Mapping[str, Any], exact: ExactNumbers) -> Any:
        """Return the value with the numbers of the input exact. Raises `PrecisionLost`."""
        stand_ins, seed = exact.stand_ins(), random.random()  # noqa: S311 - as above
        between: list[dict[Decimal, float]] = exact.neighbours() if self._monotonic else []
        with_texts = self._equates_sums or not self._monotonic
        rounds: list[Mapping[Decimal, float | str]] = [*stand_ins, *between, *([exact.texts()] if with_texts else [])]
        results = []
        for numbers in rounds:
            self._draws.seed(seed)
            results.append(self._outcome(given, handle_of(substituted(given.context, numbers)), substituted(bindings, numbers)))
        if (needed := needed_by_all(results)) is not None:
            return needed
        restored = {tuple(each[number] for each in stand_ins): number for number in exact.members if exact.varies(number)}
        neighbours, texts = results[len(stand_ins) :][: len(between)], results[len(stand_ins) + len(between) :]
        if self._monotonic and texts:  # a failure shows a calculation; otherwise the text was in a place that makes no text of the number
            texts = [each for each in texts if isinstance(each, Failed)]
            neighbours = [] if texts else neighbours
        value = merge_results(results[: len(stand_ins)], restored, neighbours, texts)
        if isinstance(value, Failed):
            raise ExpressionError(value.reason)
        return value

    def _outcome(self, given: EvaluationInput, handle: jsonatapy.JsonataData, bindings: Mapping[str, Any]) -> Any:
        """Return the value, or the failure: it may happen with the stand-ins only. Raises `TimedOut`."""
        try:
            return self._evaluate(given, handle, bindings)
        except TimedOut:
            raise
        except ExpressionError as error:
            return Failed(str(error))

    def _evaluate(self, given: EvaluationInput, handle: jsonatapy.JsonataData, bindings: Mapping[str, Any]) -> Any:
        """Raises `ExpressionError`, `TimedOut`."""
        self._functions.begin(given.answers)
        try:
            result = self._compiled.evaluate_with_data(handle, dict(bindings) or None, timeout=given.milliseconds_left())
        except (ValueError, TypeError, OverflowError) as error:
            complaint = str(error)
            if self._functions.needed is not None and not complaint.startswith(TIMED_OUT):
                return self._functions.needed  # the replacement of a missing answer may have caused this
            if self._functions.failure:
                raise ExpressionError(self._functions.failure) from None
            reason = explain(complaint, self._literals) + possible_causes(complaint, self._pieces)
            raise (TimedOut if complaint.startswith(TIMED_OUT) else ExpressionError)(reason) from None
        return self._functions.needed or result.get("v", UNDEFINED)


def needed_by_all(results: Sequence[Any]) -> Needed | None:
    """Return the lookups that every evaluation needs. Raises `PrecisionLost` if they depend on the digits of a number that the engine does not hold."""
    asked = {frozenset(lookup.text for lookup in each.lookups) if isinstance(each, Needed) else None for each in results}
    if asked == {None}:
        return None
    if len(asked) > 1:
        raise PrecisionLost
    needed: Needed = results[0]
    return needed
