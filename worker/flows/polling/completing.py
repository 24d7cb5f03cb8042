"""Completes changed records before `when` and `transform`: their details by id, and the lists that a route includes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_request
from worker.changes.detect import Change
from worker.config.compiled import Include
from worker.config.routes import Subscriber
from worker.core.errors import ExpressionError
from worker.core.outcome import DeadClass
from worker.core.ports import Evaluator, Reader
from worker.flows.polling.details import Unfetched, fetch_record, unfetched
from worker.flows.polling.events import bindings_of
from worker.flows.polling.lists import read_list
from worker.flows.requests import evaluated_request


class Completer:
    """Completes the records of one subscriber. `query`: the parameters of its list; the details take the parameters that they know."""

    def __init__(self, route: Subscriber, reader: Reader, evaluator: Evaluator, query: Mapping[str, Any]) -> None:
        self._route = route
        self._reader = reader
        self._evaluator = evaluator
        self._query = query

    @staticmethod
    def needed(route: Subscriber) -> bool:
        """Whether a route wants more of a record than the row of its list."""
        return route.details is not None or bool(route.include)

    async def complete(self, change: Change) -> Change | Unfetched:
        """Return the change with the whole record, or why there is none. Raises `DetailsStopped`, `EvaluatorUnavailable`."""
        if self._route.details is not None:
            found = await fetch_record(self._reader, self._route.details, change, self._query)
            if isinstance(found, Unfetched):
                return found
            change = found
        lists: dict[str, Any] = {}
        for member, include in self._route.include.items():
            rows = await self._included(member, include, change)
            if isinstance(rows, Unfetched):
                return rows
            lists[member] = rows
        return replace(change, record=change.record | lists) if lists else change

    async def _included(self, member: str, include: Include, change: Change) -> list[dict[str, Any]] | Unfetched:
        what = f"its `{member}`"
        try:
            parameters = await evaluated_request(include.request, change.record, bindings_of(self._route, change), self._evaluator)
            request = build_request(include.operation, parameters["path"], parameters["query"])
        except (ExpressionError, RequestError) as error:
            return Unfetched(change, DeadClass.TRANSFORM, f"{what} cannot be asked for: {error}")
        found = await read_list(self._reader, include.operation, request, include.operation.key)
        if found.failure is not None:
            return unfetched(change, found.failure, what)
        if found.reason:
            return Unfetched(change, DeadClass.RETRIES_EXHAUSTED, f"{what}: {found.reason}", lasting=found.ambiguous)
        return list(found.rows.values())
