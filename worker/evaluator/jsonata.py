"""The JSONata engine behind one class: it compiles a text once, evaluates it under limits, and quotes no data in errors. The worker's own process never imports it.

The engine calculates in floats: an integer beyond 2^53 loses digits, and it refuses integers beyond 64 bits.
Simple paths (see `worker.config.paths`) do not use the engine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jsonatapy

from worker.config.expression_literals import UNKNOWN_COMPONENT, culprits, picture_arguments, unknown_component
from worker.config.jsonata_errors import explain
from worker.config.syntax import enclosed, pad
from worker.config.template_lexer import Token, tokens
from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.evaluator.limits import MAX_SEQUENCE, MAX_STACK

TIMED_OUT = "D1012"
CHECKED = "picture_of_a_run"


class TimedOut(ExpressionError):
    """The evaluation reached its time limit."""


def with_checked_pictures(text: str, pieces: Sequence[Token]) -> str:
    """The text with a check around each picture that a run gives to `$fromMillis`: the engine shows an unknown component with a width as `ISO`.

    It is a step of a path, so that a picture that is not there stays so.
    """
    given = [each for each in picture_arguments(pieces) if each.function == "$fromMillis" and each.picture is None]
    added = [(each.start, "(") for each in given] + [(each.end, f").${CHECKED}($)") for each in given]
    for offset, mark in sorted(added, reverse=True):
        text = text[:offset] + mark + text[offset:]
    return text


def checked(picture: Any) -> Any:
    """A picture that JSONata knows in all its parts, and anything that is none. Raises `ValueError`."""
    if isinstance(picture, str) and unknown_component(picture):
        raise ValueError(UNKNOWN_COMPONENT)
    return picture


class Input:
    """A context in the engine's form, and the time limit of all expressions over it together."""

    def __init__(self, context: Any, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        try:
            self.handle = jsonatapy.JsonataData(context)
        except (TypeError, OverflowError, ValueError):
            raise ExpressionError("the input holds a value that expressions cannot take, such as an integer beyond 64 bits") from None

    def milliseconds_left(self) -> int:
        return max(1, round((self._deadline - time.monotonic()) * 1000))


class Expression:
    """One compiled JSONata text that `worker.config.syntax` has accepted."""

    def __init__(self, text: str) -> None:
        self._pieces = pieces = tuple(tokens(text))
        self._variables = frozenset(token.text[1:] for token in pieces if token.kind == "variable")
        self._literals = frozenset(token.text[1:-1] for token in pieces if token.kind == "string")
        self._compiled = jsonatapy.compile(enclosed(with_checked_pictures(text, pieces)), max_stack_depth=MAX_STACK, max_sequence_length=MAX_SEQUENCE)
        if "pad" in self._variables:
            self._compiled.register_override("pad", pad)
        if "fromMillis" in self._variables:
            self._compiled.register(CHECKED, checked)
        if "random" in self._variables:
            self._compiled.register_override("random", random.random)  # noqa: S311  JSONata promises no secrecy here; the engine lacks it

    def evaluate(self, given: Input, bindings: Mapping[str, Any]) -> Any:
        """The value, or UNDEFINED. Raises `ExpressionError`, `TimedOut`."""
        wanted = {name: bindings[name] for name in self._variables if name in bindings} or None
        try:
            result = self._compiled.evaluate_with_data(given.handle, wanted, timeout=given.milliseconds_left())
        except (ValueError, TypeError, OverflowError) as error:
            complaint = str(error)
            reason = explain(complaint, self._literals) + culprits(complaint, self._pieces)
            raise (TimedOut if complaint.startswith(TIMED_OUT) else ExpressionError)(reason) from None
        return result.get("v", UNDEFINED)
