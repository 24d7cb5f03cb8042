"""Turns the response of another API into an exchange: the only place that reads its status and body."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from typing import Any, Literal

from worker.core.bodies import read_json, to_utf8
from worker.core.errors import Oversized, Undecodable
from worker.core.exchange import Exchange, Fate
from worker.core.json_codec import decode
from worker.core.json_text import BOM
from worker.core.media_types import is_json
from worker.halo.outcome import parse_date, retry_after
from worker.halo.transport import Answer, Failure
from worker.integrations.guard import MAX_RESPONSE_BYTES

STATUS_FATES: dict[int, Fate] = {
    HTTPStatus.UNAUTHORIZED: Fate.AUTH,
    HTTPStatus.FORBIDDEN: Fate.AUTH,
    HTTPStatus.REQUEST_TIMEOUT: Fate.AMBIGUOUS,
    HTTPStatus.TOO_MANY_REQUESTS: Fate.THROTTLED,
}
MAX_FILE_BYTES = 4 * 1024 * 1024
ASKED_TO_WAIT = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def to_exchange(host: str, result: Answer | Failure, kind: Literal["auto", "base64"] = "auto") -> Exchange:
    """Return the exchange of a response, without its duration. The reason quotes no part of it: it may contain secrets. `kind`: how to read a success."""
    if isinstance(result, Failure):
        return Exchange(Fate.AMBIGUOUS if result.sent else Fate.NOT_SENT, reason=result.reason)
    date = parse_date(result.headers.get("date"))
    wait = retry_after(result, date) if result.status in ASKED_TO_WAIT else None
    fate = fate_of(result.status)
    reason = "" if fate is Fate.DONE else f"{host} answered {status_text(result)}"
    if kind == "base64" and fate is Fate.DONE:
        fate, body, problem = read_file(result)
    else:
        body, problem = None, result.problem
        if result.body is not None:
            try:
                body, problem = read_body(result), ""
            except Oversized as error:
                problem = str(error)
            except Undecodable as error:
                problem, fate = f"not with what its content type says: {error}", Fate.REJECTED if fate is Fate.DONE else fate
    if problem:
        fate, reason = Fate.DONE_UNREAD if fate is Fate.DONE else fate, f"{host} answered {result.status}, but {problem}"
    return Exchange(fate, result.status, reason, body=body, date=date, retry_after=wait, headers=result.headers, cookies=result.cookies)


def read_file(answer: Answer) -> tuple[Fate, str | None, str]:
    """Return the bytes in Base64: a run's messages hold its variables as JSON. Without its file the call has failed."""
    if answer.body is None:
        return Fate.REJECTED, None, answer.problem
    if len(answer.body) > MAX_FILE_BYTES:
        return Fate.REJECTED, None, f"the file has {len(answer.body):,} bytes; at most {MAX_FILE_BYTES:,} are read"
    return Fate.DONE, b64encode(answer.body).decode(), ""


def fate_of(status: int) -> Fate:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Fate.DONE
    return STATUS_FATES.get(status, Fate.AMBIGUOUS if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Fate.REJECTED)


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
