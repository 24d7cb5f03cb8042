"""Fetches changed records by id, for routes with `details: true`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from worker.catalogue.errors import RequestError
from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.detect import Change
from worker.core.errors import WorkerError
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.outcome import DeadClass
from worker.core.ports import Reader

MAX_FAILED_POLLS = 3  # failed polls after which a record that cannot be read is parked: it holds up the cursor
ALL_REFUSED = 10  # refusals without a success that are taken for a missing permission, not for single records
UNANSWERED = 3  # records of a page without an answer, each after all attempts, that are taken for an outage


class DetailsStopped(WorkerError):
    """The worker stops: the record is fetched in a later turn."""


class DetailsFailed(WorkerError):
    """Halo refuses the details of every record, or does not answer: the poll fails, and parks none of them."""


@dataclass(frozen=True, slots=True)
class Unfetched:
    """A change whose record could not be fetched. `lasting`: Halo refuses this record, so that asking again changes nothing."""

    change: Change
    dead_class: DeadClass
    reason: str
    status: int | None = None
    lasting: bool = True


@dataclass(slots=True)
class FetchedDetails:
    """The result for one page. `gave_up`: why the records that are in neither list were not asked for."""

    fetched: list[Change] = field(default_factory=list)
    unfetched: list[Unfetched] = field(default_factory=list)
    gave_up: str = ""


Fetch = Callable[[Change], Awaitable[Change | Unfetched]]
"""Asks Halo for the data that a change lacks. Raises `DetailsStopped`."""


def details_request(operation: Operation, record: Mapping[str, Any], request_query: Mapping[str, Any]) -> Request:
    """Build the request for one record, with the parameters of the list that `/{id}` takes too. Raises `RequestError`."""
    query = {"includedetails": True} if "includedetails" in operation.query_parameters else {}
    query |= {name: record[name] for name in ("ticket_id",) if name in operation.query_parameters and name in record}
    query |= {name: value for name, value in request_query.items() if name in operation.query_parameters}
    return build_request(operation, {"id": record.get("id")}, query)


async def fetch_record(reader: Reader, operation: Operation, change: Change, request_query: Mapping[str, Any]) -> Change | Unfetched:
    """Return the change with the record that `/{id}` answers, or why there is none. Raises `DetailsStopped`."""
    try:
        request = details_request(operation, change.record, request_query)
    except RequestError as error:
        return Unfetched(change, DeadClass.REJECTED, f"its details cannot be asked for: {error}")
    exchange = await reader.send(request, priority=Priority.POLL)
    if exchange.ok and isinstance(exchange.body, dict):
        return replace(change, record=exchange.body)
    return unfetched(change, exchange)


async def fetch_all(fetch: Fetch, changes: Sequence[Change], *, before: int) -> FetchedDetails:
    """Fetch the records one after the other. `before`: number of records that this turn has fetched already. Raises `DetailsStopped`."""
    found = FetchedDetails()
    for change in changes:
        result = await fetch(change)
        if isinstance(result, Change):
            found.fetched.append(result)
            continue
        found.unfetched.append(result)
        found.gave_up = gave_up(found.unfetched, succeeded=bool(found.fetched) or bool(before))
        if found.gave_up:
            break
    return found


def gave_up(failures: Sequence[Unfetched], *, succeeded: bool) -> str:
    """Return why no further record is asked for, empty to go on."""
    refused = sum(each.lasting for each in failures)
    if refused >= ALL_REFUSED and not succeeded:
        return f"Halo refuses every record that was asked for, {refused} so far; the last one: {failures[-1].reason}"
    if len(failures) - refused >= UNANSWERED:
        return f"{UNANSWERED} records could not be read; the last one: {failures[-1].reason}"
    return ""


def unfetched(change: Change, exchange: Exchange, what: str = "its details") -> Unfetched:
    """Return the failure that an exchange without a record means. Total over the results of requests. Raises `DetailsStopped`."""
    status, reason = exchange.status, f"{what}: {exchange.reason}"
    match exchange.result:
        case RequestResult.NOT_SENT if not exchange.down:
            raise DetailsStopped(exchange.reason)
        case RequestResult.AUTH:
            return Unfetched(change, DeadClass.AUTH, reason, status)
        case RequestResult.REJECTED:
            return Unfetched(change, DeadClass.REJECTED, reason, status)
        case RequestResult.DONE:
            return Unfetched(change, DeadClass.REJECTED, f"{what}: Halo answers no record", status)
        case RequestResult.DONE_UNREAD if exchange.oversized:
            return Unfetched(change, DeadClass.REJECTED, reason, status)
        case RequestResult.NOT_SENT | RequestResult.THROTTLED | RequestResult.AMBIGUOUS | RequestResult.DONE_UNREAD:
            return Unfetched(change, DeadClass.RETRIES_EXHAUSTED, reason, status, lasting=False)
