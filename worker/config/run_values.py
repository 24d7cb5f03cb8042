"""The values of a run, and the templates that they fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker.core.ports import Evaluator


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a run, for its templates and conditions.

    `variables`: by name; a missing one is empty. `plain`: names whose expression ended in `!`, put into longer text without quotes. `status`, `response`: of the
    last method or action; `request`: the starting payload. `customer`: the row of the customer whom a method calls, as `$customer`; None without a customer.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    status: int | None = None
    response: Any = None
    request: Any = None
    customer: Mapping[str, Any] | None = None

    @property
    def bindings(self) -> dict[str, Any]:
        """The variables of JSONata."""
        return {} if self.customer is None else {"customer": self.customer}

    def context(self) -> dict[str, Any]:
        """The context of JSONata (`$`): the variables as members, with `status`, `response` and `request`."""
        return dict(self.variables) | {"status": self.status, "response": self.response, "request": self.request}


class RunTemplate(Protocol):
    """A value that may hold `<<Name>>` and `{{ JSONata }}` at any depth, compiled."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that it uses."""
        ...

    async def fill(self, values: Values, evaluator: Evaluator) -> Any:
        """Return the filled value. A value that is one whole `<<Name>>` or `{{ … }}` keeps its type.

        Raises `ExpressionError` without customer data in its text, `EvaluatorUnavailable`.
        """
        ...
