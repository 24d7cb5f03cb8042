"""Expressions evaluated in the tests' own process, and without an event loop: for tests of what they yield."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

from worker.core.errors import ExpressionError, ExpressionFailed
from worker.core.evaluation import Question
from worker.evaluator.jsonata import EvaluationInput, Expression
from worker.evaluator.sizes import context_json
from worker.evaluator.wire import part_of, value_of

Value = TypeVar("Value")
compiled = lru_cache(maxsize=1000)(Expression)


class InProcess:
    """Implements the port `Evaluator`: as a process of its own does it, but for what only that can survive."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self.questions: list[Question] = []

    async def answer(self, question: Question) -> list[Any]:
        self.questions.append(question)
        values: list[Any] = []
        try:
            given = EvaluationInput(context_json(question.context), self.seconds, question.answers)
            for text in question.expressions:
                value = compiled(text).evaluate(given, question.bindings)
                values.append(value_of(part_of(value)))
        except ExpressionError as error:
            raise ExpressionFailed(str(error), len(values)) from None
        return values


def now(work: Coroutine[Any, Any, Value]) -> Value:
    """The result of what never has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        result: Value = done.value
        return result
    work.close()
    raise AssertionError("it waits for something")


def evaluated(template: Any, context: Any, bindings: Any) -> Any:
    """What a template yields."""
    return now(template.evaluate(context, bindings, InProcess()))


def holds(condition: Any, context: Any, bindings: Any) -> bool:
    """Whether a condition holds."""
    return now(condition.holds(context, bindings, InProcess()))


def filled(filler: Any, values: Any) -> Any:
    """What a filler yields."""
    return now(filler.fill(values, InProcess()))
