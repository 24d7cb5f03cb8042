"""The port through which runbooks call methods of integrations."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from worker.config.automation import Method
from worker.config.run_values import Values
from worker.core.exchange import Exchange
from worker.core.ports import Slot


class Caller(Protocol):
    """Calls methods of integrations. Implemented by `worker.integrations`."""

    def reserve(
        self, method: Method, values: Values, *, timeout: float | None = None, after: Exchange | None = None
    ) -> AbstractAsyncContextManager[Slot | Exchange]:
        """Reserve a call like `Halo.reserve`; raises the errors of `call`."""
        ...

    async def call(self, method: Method, values: Values, *, timeout: float | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """One exchange; `status` and `body` (JSON, or text) are set after any response, whatever its status. `timeout` overrides the method's own, in seconds.

        Results: DONE for 2xx, REJECTED for other responses below 500, AUTH for 401 and 403, THROTTLED for 429, AMBIGUOUS for 5xx and for a failure after sending, NOT_SENT.
        Raises `ExpressionError` (a template failed), `EvaluatorUnavailable`, `CallRefused` (a path segment, a host or a header is not allowed).
        """
        ...
