"""Classifies the result of a request to Halo: the only module that reads statuses, content types and bodies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from http import HTTPStatus

from worker.core.bodies import read_json
from worker.core.errors import Oversized, Undecodable
from worker.core.exchange import Exchange, RequestResult
from worker.halo.error_text import explain
from worker.halo.transport import ANSWER_LIMIT, ANSWER_VALUES, Answer, Failure

Answered = Callable[..., Exchange]
"""Makes the exchange of an answer: it knows the status, the date and the duration."""
STATUS_RESULTS: dict[int, RequestResult] = {
    HTTPStatus.UNAUTHORIZED: RequestResult.AUTH,
    HTTPStatus.FORBIDDEN: RequestResult.AUTH,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: RequestResult.NOT_SENT,
    HTTPStatus.REQUEST_TIMEOUT: RequestResult.AMBIGUOUS,
    HTTPStatus.TOO_MANY_REQUESTS: RequestResult.THROTTLED,
}
SUSPICIOUS = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
HINTS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the token was not accepted",
    HTTPStatus.FORBIDDEN: "a scope of the application or a permission of its agent's role is missing",
    HTTPStatus.NOT_FOUND: "there is no such record or endpoint",
    HTTPStatus.METHOD_NOT_ALLOWED: "the endpoint does not take this method",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "the proxy asks for credentials",
    HTTPStatus.REQUEST_TIMEOUT: "it gave up waiting for the request",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the payload is too large",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests",
}


def classify(result: Answer | Failure, duration: float = 0.0) -> Exchange:
    """Return the exchange for an answer or a failure. `duration`: in seconds, from its budget slot on.

    `down` is certain for a request that was not sent. After sending it is a suspicion (gateway errors, lost or late answers, redirects, web pages,
    a refused token): one failing endpoint looks like an unavailable Halo, and only another request shows the difference.
    """
    if isinstance(result, Failure):
        return Exchange(RequestResult.AMBIGUOUS if result.sent else RequestResult.NOT_SENT, reason=result.reason, down=not result.withheld, duration=duration)
    date = parse_date(result.headers.get("date"))
    answered = partial(Exchange, status=result.status, date=date, duration=duration)
    if HTTPStatus.OK <= result.status < HTTPStatus.MULTIPLE_CHOICES:
        return _success(result, answered)
    if HTTPStatus.MULTIPLE_CHOICES <= result.status < HTTPStatus.BAD_REQUEST:
        reason = f"Halo redirected to {result.target} ({result.status}); redirects are not followed: check the client's address"
        return answered(RequestResult.AMBIGUOUS, reason=reason, down=True)
    return _refusal(result, date, answered)


def _success(answer: Answer, answered: Answered) -> Exchange:
    if answer.body is None:
        return answered(RequestResult.DONE_UNREAD, reason=f"Halo answered {answer.status}, but {answer.problem}", oversized=answer.oversized)
    if not answer.body or answer.body.isspace():
        return answered(RequestResult.DONE)
    if answer.is_page:
        return answered(RequestResult.AMBIGUOUS, reason=f"Halo answered {answer.status} with a web page instead of JSON: check the client's address", down=True)
    try:
        return answered(RequestResult.DONE, body=read_json(answer.body, answer.content_type, limit=ANSWER_LIMIT, max_values=ANSWER_VALUES))
    except Undecodable as error:
        return answered(RequestResult.DONE_UNREAD, reason=f"Halo answered {answer.status}, but {error}", oversized=isinstance(error, Oversized))


def _refusal(answer: Answer, date: datetime | None, answered: Answered) -> Exchange:
    said = "" if answer.is_page else explain(answer.body, answer.content_type)
    cause = said or HINTS.get(answer.status, "")
    reason = f"Halo answered {answer.status}" + (f": {cause}" if cause else "")
    result = STATUS_RESULTS.get(answer.status, RequestResult.AMBIGUOUS if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else RequestResult.REJECTED)
    wait = retry_after(answer, date) if result is RequestResult.THROTTLED else None
    return answered(result, reason=reason, retry_after=wait, down=answer.status in SUSPICIOUS)


@lru_cache(maxsize=16)
def parse_date(text: str | None) -> datetime | None:
    """Return an HTTP date in UTC, None for a missing or invalid one."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None


def retry_after(answer: Answer, date: datetime | None) -> float | None:
    """Return the wait in `Retry-After`, in seconds; None for a missing or invalid one. A date is relative to Halo's own clock."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9]) or None
    until = parse_date(text)
    if until is None:
        return None
    seconds = (until - (date or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None
