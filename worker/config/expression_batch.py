"""Evaluates all expressions of one template together: it reads simple paths itself, and sends the rest to the evaluator as one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from worker.config.paths import NotSimple, PathScope, ValuePath
from worker.core.errors import ExpressionError, ExpressionFailed
from worker.core.evaluation import UNDEFINED, Question
from worker.core.lookups import Needed
from worker.core.ports import Evaluator

PENDING: Final = object()


@dataclass(frozen=True, slots=True)
class BatchedExpression:
    """`path`: set if it is a simple path; `place`: the start of its error messages, such as "`transform.id`: the expression at routes/a.yaml:5:3"."""

    text: str
    variables: frozenset[str]
    path: ValuePath | None
    place: str

    def read(self, scope: PathScope) -> Any:
        """Return the value or UNDEFINED; PENDING if the evaluator has to answer."""
        if self.path is None:
            return PENDING
        try:
            return self.path.read(scope)
        except NotSimple:
            return PENDING


class ExpressionBatch:
    """The expressions of one template, in its order."""

    def __init__(self) -> None:
        self._expressions: list[BatchedExpression] = []

    def add(self, expression: BatchedExpression) -> int:
        """Add an expression, and return its index among the values."""
        self._expressions.append(expression)
        return len(self._expressions) - 1

    async def values(self, scope: PathScope, evaluator: Evaluator) -> Sequence[Any]:
        """Return one value for each expression. Raises `ExpressionError` with the place of the first failed expression, `EvaluatorUnavailable`."""
        values = [expression.read(scope) for expression in self._expressions]
        pending = [index for index, value in enumerate(values) if value is PENDING]
        if pending:
            answers = await self._ask([self._expressions[index] for index in pending], scope, evaluator)
            for index, value in zip(pending, answers, strict=True):
                values[index] = value
        return values

    async def _ask(self, pending: Sequence[BatchedExpression], scope: PathScope, evaluator: Evaluator) -> list[Any]:
        names = frozenset[str]().union(*(expression.variables for expression in pending))
        bindings = {name: value for name in names if (value := scope.binding(name)) is not UNDEFINED}
        try:
            values = await evaluator.answer(Question(tuple(expression.text for expression in pending), scope.context, bindings))
        except ExpressionFailed as error:
            raise ExpressionError(f"{pending[error.index].place}: {error}") from None
        for expression, value in zip(pending, values, strict=True):
            if isinstance(value, Needed):
                raise ExpressionError(f"{expression.place}: `$table` and `$id` are not available here")
        return values
