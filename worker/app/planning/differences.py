"""Finds what a planned write would change in Halo: compares the present record with the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from worker.catalogue.catalogue import load
from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.core.comparison import mismatches
from worker.core.exchange import Priority, Request
from worker.core.plan import MemberDifference, PlanFailed, PlannedRequest
from worker.core.ports import Halo
from worker.flows.writes.write_request import names_record

NOT_FOUND = 404


async def differences_of(halo: Halo, operation: Operation, request: PlannedRequest) -> list[MemberDifference]:
    """Return the members that this write changes. A create changes no existing record. Raises `PlanFailed` when Halo does not answer."""
    if operation.method == "DELETE":
        gone = await record_at(halo, Request("GET", request.path)) is None
        return [] if gone else [MemberDifference(request.path, "(the record)", "exists", "deleted")]
    details = load().methods_of(f"{operation.entity}/{{id}}").get("GET")
    records = request.content if isinstance(request.content, list) else [request.content]
    found: list[MemberDifference] = []
    for record in records:
        if details is None or not isinstance(record, Mapping) or not names_record(dict(record)):
            continue
        asked = build_request(details, {"id": record["id"]})
        there = await record_at(halo, asked)
        if there is None:
            found.append(MemberDifference(asked.path, "(the record)", "not there", "Halo refuses the update"))
        else:
            found += member_differences(asked.path, there, record)
    return found


async def record_at(halo: Halo, request: Request) -> Mapping[str, Any] | None:
    """Return the record; None when there is none. Raises `PlanFailed`."""
    exchange = await halo.send(request, priority=Priority.POLL)
    if exchange.status == NOT_FOUND:
        return None
    if not exchange.ok or not isinstance(exchange.body, Mapping):
        raise PlanFailed(f"{request.path} could not be read: {exchange.reason or 'the answer is no record'}")
    return exchange.body


def member_differences(record: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[MemberDifference]:
    """Yield the members that differ from the record, in the order of the request."""
    for name, value in then.items():
        if name not in now:
            yield MemberDifference(record, name, None, value, absent=True)
        elif any(mismatches(name, now[name], value)):
            yield MemberDifference(record, name, now[name], value)
