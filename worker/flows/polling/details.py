"""Fetches changed records by id, for routes with `details: true`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.detect import Change
from worker.core.errors import WorkerError
from worker.core.exchange import Exchange, Priority, Request
from worker.core.ports import Halo

NOT_FOUND = 404


class DetailsFailed(WorkerError):
    """A changed record could not be fetched: the poll fails and its cursor stays."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(f"a changed record could not be fetched: {exchange.reason}")
        self.exchange = exchange


def details_request(operation: Operation, record: Mapping[str, Any], request_query: Mapping[str, Any]) -> Request:
    """Build the request for one record, with the parameters of the list that `/{id}` takes too. Raises `RequestError`."""
    query = {"includedetails": True} if "includedetails" in operation.query_parameters else {}
    query |= {name: record[name] for name in ("ticket_id",) if name in operation.query_parameters and name in record}
    query |= {name: value for name, value in request_query.items() if name in operation.query_parameters}
    return build_request(operation, {"id": record.get("id")}, query)


async def fetch_whole(halo: Halo, operation: Operation, change: Change, request_query: Mapping[str, Any]) -> Change | None:
    """Return the change with the record that `/{id}` answers, None for a deleted record: a later scan detects the deletion. Raises `DetailsFailed`."""
    request = details_request(operation, change.record, request_query)
    exchange = await halo.send(request, priority=Priority.POLL)
    if exchange.status == NOT_FOUND:
        return None
    if not exchange.ok or not isinstance(exchange.body, dict):
        raise DetailsFailed(exchange)
    return replace(change, record=exchange.body)
