"""The JSONata engine behind one class: it compiles a text once, evaluates it under limits, and quotes no data in errors. The worker's own process never imports it.

The engine calculates in floats: an integer beyond 2^53 loses digits, and it refuses integers beyond 64 bits.
Simple paths (see `worker.config.paths`) do not use the engine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import jsonatapy

from worker.config.function_calls import literal_value
from worker.config.jsonata_errors import explain
from worker.config.syntax import enclosed, pad
from worker.config.template_lexer import tokens
from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.core.lookups import LookupAnswer
from worker.evaluator.functions import Functions
from worker.evaluator.limits import MAX_SEQUENCE, MAX_STACK

TIMED_OUT = "D1012"
NO_ANSWERS: Mapping[str, LookupAnswer] = {}


class TimedOut(ExpressionError):
    """The evaluation reached its time limit."""


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
        pieces = list(tokens(text))
        self._variables = frozenset(token.text[1:] for token in pieces if token.kind == "variable")
        self._literals = frozenset(literal_value(token.text) for token in pieces if token.kind == "string")
        self._functions = Functions(pieces)
        self._compiled = jsonatapy.compile(enclosed(self._functions.wrapped(text)), max_stack_depth=MAX_STACK, max_sequence_length=MAX_SEQUENCE)
        if "pad" in self._variables:
            self._compiled.register_override("pad", pad)
        if "random" in self._variables:
            self._compiled.register_override("random", random.random)  # noqa: S311  JSONata promises no secrecy here; the engine lacks it
        for name, host in self._functions.hosts().items():
            self._compiled.register(name, host)

    def evaluate(self, given: Input, bindings: Mapping[str, Any], answers: Mapping[str, LookupAnswer] = NO_ANSWERS) -> Any:
        """The value, UNDEFINED, or `Needed` when lookups without an answer come first. Raises `ExpressionError`, `TimedOut`."""
        self._functions.begin(answers)
        wanted = {name: bindings[name] for name in self._variables if name in bindings} or None
        try:
            result = self._compiled.evaluate_with_data(given.handle, wanted, timeout=given.milliseconds_left())
        except (ValueError, TypeError, OverflowError) as error:
            complaint = str(error)
            if self._functions.needed is not None and not complaint.startswith(TIMED_OUT):
                return self._functions.needed  # what stood in for an answer may have led here
            if self._functions.failure:
                raise ExpressionError(self._functions.failure) from None
            raise (TimedOut if complaint.startswith(TIMED_OUT) else ExpressionError)(explain(complaint, self._literals)) from None
        return self._functions.needed or result.get("v", UNDEFINED)
