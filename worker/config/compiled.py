"""The parts of compiled routes: templates, conditions, request parameters, lookups and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from worker.catalogue.operation import Operation
from worker.core.answers import CannedAnswer
from worker.core.ports import Evaluator


class Template(Protocol):
    """A value that may hold expressions at any depth, compiled. Implemented by `worker.config.expressions`."""

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> Any:
        """Return the value for this context (`$`) and these bindings (names without their `$`).

        Raises `ExpressionError` without customer data in its text, `EvaluatorUnavailable`.
        """
        ...


class Condition(Protocol):
    async def holds(self, context: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> bool:
        """Whether the expression is true in JSONata. Raises `ExpressionError`, `EvaluatorUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class RequestParameters:
    """Path and query parameters, each a template; a template that yields nothing (null) leaves the query parameter out."""

    path: Mapping[str, Template] = field(default_factory=dict)
    query: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Find:
    """Look before create: GET with `query`, then the one row in which every member of `match` is equal."""

    operation: Operation
    query: Mapping[str, Template]
    match: Mapping[str, Template]
    path: Mapping[str, Template] = field(default_factory=dict)
    use: Literal["doubtful", "always"] = "doubtful"
    then: Literal["update", "skip"] = "update"


CellType = Literal["int", "number", "bool", "time", "text"]


@dataclass(frozen=True, slots=True)
class Report:
    """SQL over Halo's reporting database. `pieces`: the statement, cut at each `$cursor`. `top`: the maximum number of rows that it asks for; None: no maximum.

    `cursor`: the column that orders the rows; None: the route reads the whole table.
    """

    pieces: tuple[str, ...]
    cursor: str | None = None
    types: Mapping[str, CellType] = field(default_factory=dict)
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Parents:
    """The list whose changed records are the parents of `for_each`."""

    operation: Operation
    request: RequestParameters = field(default_factory=RequestParameters)
    key: tuple[str, ...] = ("id",)


@dataclass(frozen=True, slots=True)
class Include:
    """A list that becomes a member of each changed record; its parameters are evaluated with the record as context."""

    operation: Operation
    request: RequestParameters = field(default_factory=RequestParameters)


@dataclass(frozen=True, slots=True)
class Example:
    """A checked example. `expect`: only the members that the file has; `place`: file and line."""

    name: str
    given: Any
    expect: Mapping[str, Any]
    place: str = ""
    line: int = 0
    headers: Mapping[str, Any] = field(default_factory=dict)
    change: Literal["created", "updated", "deleted", "backfilled"] = "created"
    ids: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    answers: Mapping[str, Sequence[CannedAnswer]] = field(default_factory=dict)
