"""Checks what the routes of one client read and write: requests one row of each list, with the parameters of its route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from http import HTTPStatus

from worker.app.doctor.check import Check, CheckSubject
from worker.app.doctor.halo import WHOLE, ClientSession, json_of
from worker.catalogue.catalogue import load
from worker.catalogue.errors import RequestError
from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.pages import PageFailed
from worker.config.compiled import Report
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.errors import EvaluatorUnavailable, ExpressionError
from worker.core.exchange import Request
from worker.core.ports import Evaluator
from worker.flows.polling.report_scan import PATH, SCOPES, TOO_SLOW, report_request, rows_of_report
from worker.flows.requests import evaluated_request, subscriber_request
from worker.halo.outcome import classify
from worker.halo.transport import Answer, Failure

ASKED = 1000  # rows that one request asks for, to see the largest page that Halo returns
FORBIDDEN_FIX = "grant the scope to the API application in Halo, and let the role of its agent see this area"


async def entity_checks(session: ClientSession, routes: Routes, evaluator: Evaluator, about: CheckSubject) -> AsyncIterator[Check]:
    """Check every list that a subscriber of the client polls, and every entity that a publisher writes."""
    name, paged = session.client.name, None
    for route in routes.subscribers.values():
        if route.client == name:
            for check in await read_by(session, route, evaluator, about):
                yield check
            if (
                paged is None
                and route.report is None
                and route.operation.listing is not None
                and route.operation.listing.paged
                and not route.operation.path_parameters
            ):
                paged = route.operation
    if paged is not None:
        yield await page_cap(session, paged, about)
    written = {route.operation.entity: route for route in routes.publishers.values() if route.client == name}
    for publisher in written.values():
        for check in [await readable_check(session, publisher, about), *writable_check(session, publisher, about)]:
            yield check


async def read_by(session: ClientSession, route: Subscriber, evaluator: Evaluator, about: CheckSubject) -> list[Check]:
    """Check what a subscriber reads. The checks include the cost of a poll where a poll needs more than the pages of a list."""
    if route.report is not None:
        return [await reported(session, route, route.report, about), cost(route, "one request, whatever the number of records", about)]
    found = [await polled(session, route, evaluator, about)]
    if route.for_each is not None:
        found.append(cost(route, "one request for up to 100 changed parents, and one for the children of each of them; a `report` needs one in all", about))
    if route.include:
        found.append(cost(route, f"{len(route.include)} more for each changed record ({', '.join(route.include)})", about))
    return found


def cost(route: Subscriber, words: str, about: CheckSubject) -> Check:
    return about.good(f"subscriber {route.name} costs", "count the requests of a poll", words)


async def reported(session: ClientSession, route: Subscriber, report: Report, about: CheckSubject) -> Check:
    """Run the statement of a report with the present time as cursor, so that it returns few rows."""
    what, tried = f"subscriber {route.name}", f"POST {PATH} with its statement, which stores nothing"
    answer = await session.post(report_request(report, datetime.fromtimestamp(session.clock.now(), UTC)))
    if isinstance(answer, Failure):
        return about.failed(what, tried, answer.reason, TOO_SLOW)
    page = rows_of_report(classify(answer))
    if isinstance(page, PageFailed):
        fix = (
            SCOPES
            if answer.status == HTTPStatus.FORBIDDEN
            else "correct the statement of the route where Halo names it, and see whether this Halo runs reports"
        )
        return about.failed(what, tried, page.exchange.reason, fix)
    return about.good(what, tried, f"{len(page.rows):,} rows")


async def polled(session: ClientSession, route: Subscriber, evaluator: Evaluator, about: CheckSubject) -> Check:
    """Request one row of a subscriber's list, with the subscriber's parameters."""
    what, operation = f"subscriber {route.name}", route.operation if route.for_each is None else route.for_each.operation
    try:
        if route.for_each is None:
            parameters = await subscriber_request(route, evaluator)
        else:
            parameters = await evaluated_request(route.for_each.request, {}, {"route": route.name, "client": route.client}, evaluator)
        request = build_request(operation, parameters["path"], parameters["query"])
    except (ExpressionError, RequestError, EvaluatorUnavailable) as error:
        return about.failed(what, f"evaluate the request of {route.name}", str(error), "correct `request` or `input_transform` of the route")
    listing = operation.listing
    few = {"pageinate": "true", "page_size": "1", "page_no": "1"} if listing is not None and listing.paged else {"count": "1"}
    return await request_check(session, what, request, few, about)


async def readable_check(session: ClientSession, route: Publisher, about: CheckSubject) -> Check:
    """Request one row of the entity that a publisher writes, if the entity has a list."""
    what, entity = f"publisher {route.name}", route.operation.entity
    operation: Operation | None = load().methods_of(entity).get("GET")
    if operation is None or operation.path_parameters or operation.listing is None:
        return about.unknown(what, f"look for a list of {entity}", "it has none, so no read was tried")
    few = {"pageinate": "true", "page_size": "1", "page_no": "1"} if operation.listing.paged else {"count": "1"}
    return await request_check(session, what, build_request(operation, {}, {}), few, about)


def writable_check(session: ClientSession, route: Publisher, about: CheckSubject) -> Iterator[Check]:
    """Check from the scopes whether the client may write. This writes nothing."""
    tried = f"look for a scope that may write {route.operation.entity}, without writing"
    if session.scopes is None:
        yield about.unknown(f"{route.name} writes", tried, "Halo does not name the scopes of the token")
    elif session.scopes & WHOLE or any(scope.startswith("edit") for scope in session.scopes):
        yield about.good(f"{route.name} writes", tried, "the token has one; only the first write shows whether the agent's role may")
    else:
        fix = "add a scope such as edit:assets to the API application and to `scopes` of the client"
        yield about.failed(f"{route.name} writes", tried, "no scope of the token may write", fix)


async def request_check(session: ClientSession, what: str, request: Request, few: dict[str, str], about: CheckSubject) -> Check:
    tried = f"GET {request.path} for one row"
    answer = await session.get(request.path, dict(request.query) | few)
    if isinstance(answer, Failure):
        return about.failed(what, tried, answer.reason, "raise `timeout` of the client, or narrow the query, where it takes long; otherwise check the network")
    match answer.status:
        case HTTPStatus.OK if json_of(answer) is not None:
            return about.good(what, tried, "readable")
        case HTTPStatus.OK:
            return about.failed(what, tried, "the answer is not JSON", "check `api_url` of the client: a portal or a proxy answers in place of the API")
        case HTTPStatus.UNAUTHORIZED:
            return about.failed(
                what, tried, "401 with a fresh token: there is no user behind the token for this entity", "choose an agent for the API application in Halo"
            )
        case HTTPStatus.FORBIDDEN:
            return about.failed(what, tried, "403: the token or its agent may not read it", FORBIDDEN_FIX)
        case HTTPStatus.NOT_FOUND:
            return about.failed(what, tried, "404: this Halo does not have it", "check `entity` and `path` of the route, and the version of Halo")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return about.failed(
                what, tried, "429: the tenant's request limit is used up", "lower `rate_limit`, or stop what else calls this tenant; then try again"
            )
        case _:
            fix = "correct the query of the route where Halo names it; otherwise look into Halo's own log"
            return about.failed(what, tried, f"status {answer.status}{answer_sentence(answer)}", fix)


def answer_sentence(answer: Answer) -> str:
    """Return Halo's sentence about a query: it holds no record. An HTML page is not repeated."""
    found = json_of(answer)
    return f": {found[:200]}" if isinstance(found, str) else ""


async def page_cap(session: ClientSession, operation: Operation, about: CheckSubject) -> Check:
    """Check how many rows Halo returns when a request asks for more."""
    tried = f"GET {operation.path} with page_size={ASKED}"
    answer = await session.get(build_request(operation, {}, {}).path, {"pageinate": "true", "page_size": str(ASKED), "page_no": "1"})
    found = json_of(answer) if isinstance(answer, Answer) and answer.status == HTTPStatus.OK else None
    rows = next((value for value in found.values() if isinstance(value, list)), None) if isinstance(found, dict) else None
    if rows is None:
        return about.unknown("page cap", tried, "no page came")
    count = found.get("record_count") if isinstance(found, dict) else None
    cut = isinstance(count, int) and count > len(rows)
    return about.good(
        "page cap", tried, f"{len(rows)} of {count} rows came: a page has at most {len(rows)}" if cut else f"all {len(rows)} rows came in one page"
    )
