"""Turns the response of another API into an exchange: the only place that reads its status and body."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from typing import Any, Literal

from worker.core.bodies import read_json, to_utf8
from worker.core.errors import Oversized, Undecodable
from worker.core.exchange import Exchange, RequestResult
from worker.core.json_codec import decode
from worker.core.json_text import BOM
from worker.core.media_types import is_json
from worker.halo.outcome import parse_date, retry_after
from worker.halo.transport import Answer, Failure
from worker.integrations.guard import MAX_RESPONSE_BYTES

STATUS_RESULTS: dict[int, RequestResult] = {
    HTTPStatus.UNAUTHORIZED: RequestResult.AUTH,
    HTTPStatus.FORBIDDEN: RequestResult.AUTH,
    HTTPStatus.REQUEST_TIMEOUT: RequestResult.AMBIGUOUS,
    HTTPStatus.TOO_MANY_REQUESTS: RequestResult.THROTTLED,
}
MAX_FILE_BYTES = 4 * 1024 * 1024
ASKED_TO_WAIT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def to_exchange(host: str, response: Answer | Failure, kind: Literal["auto", "base64"] = "auto") -> Exchange:
    """Return the exchange of a response, without its duration. The reason quotes no part of it: it may contain secrets. `kind`: how to read a success."""
    if isinstance(response, Failure):
        return Exchange(RequestResult.AMBIGUOUS if response.sent else RequestResult.NOT_SENT, reason=response.reason)
    date = parse_date(response.headers.get("date"))
    wait = retry_after(response, date) if response.status in ASKED_TO_WAIT else None
    result = result_of_status(response.status)
    reason = "" if result is RequestResult.DONE else f"{host} answered {status_text(response)}"
    if kind == "base64" and result is RequestResult.DONE:
        result, body, problem = read_file(response)
    else:
        body, problem = None, response.problem
        if response.body is not None:
            try:
                body, problem = read_body(response), ""
            except Oversized as error:
                problem = str(error)
            except Undecodable as error:
                problem, result = f"not with what its content type says: {error}", RequestResult.REJECTED if result is RequestResult.DONE else result
    if problem:
        result, reason = RequestResult.DONE_UNREAD if result is RequestResult.DONE else result, f"{host} answered {response.status}, but {problem}"
    return Exchange(result, response.status, reason, body=body, date=date, retry_after=wait, headers=response.headers, cookies=response.cookies)


def read_file(answer: Answer) -> tuple[RequestResult, str | None, str]:
    """Return the bytes in Base64: a run's messages hold its variables as JSON. Without its file the call has failed."""
    if answer.body is None:
        return RequestResult.REJECTED, None, answer.problem
    if len(answer.body) > MAX_FILE_BYTES:
        return RequestResult.REJECTED, None, f"the file has {len(answer.body):,} bytes; at most {MAX_FILE_BYTES:,} are read"
    return RequestResult.DONE, b64encode(answer.body).decode(), ""


def result_of_status(status: int) -> RequestResult:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return RequestResult.DONE
    return STATUS_RESULTS.get(status, RequestResult.AMBIGUOUS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else RequestResult.REJECTED)


def status_text(answer: Answer) -> str:
    try:
        phrase = f" ({HTTPStatus(answer.status).phrase})"
    except ValueError:
        phrase = ""
    redirect = f", a redirect to {answer.target}, which is not followed" if "location" in answer.headers and answer.status < HTTPStatus.BAD_REQUEST else ""
    return f"{answer.status}{phrase}{redirect}"


def read_body(answer: Answer) -> Any:
    """Return JSON if the content type says so, or if a text looks like an object or an array and is one; otherwise the text; None for an empty body.

    Raises `Undecodable` for an answer that claims to be JSON and is not, `Oversized` for JSON with too many values.
    """
    body = answer.body or b""
    if not body.removeprefix(BOM).strip():
        return None
    if is_json(answer.content_type):
        return read_json(body, answer.content_type, limit=MAX_RESPONSE_BYTES)
    try:
        text = to_utf8(body, answer.content_type)
    except Undecodable:  # the text need not be JSON: its readable part is kept
        text = body
    if text.lstrip()[:1] in {b"{", b"["}:  # a number in plain text stays text
        try:
            return decode(text, MAX_RESPONSE_BYTES)
        except Oversized:
            raise
        except Undecodable:
            pass
    return text.decode(errors="replace")
