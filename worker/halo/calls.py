"""A request of the flows as the HTTP call that carries it."""

from __future__ import annotations

import re

import structlog
from yarl import URL

from worker.core.errors import Undecodable
from worker.core.exchange import Request
from worker.core.jsontext import encode
from worker.halo.forms import encode_form
from worker.halo.transport import Call

CORRELATION_LIMIT = 128
PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[!$-.0-;=@-Z_a-z~]*)+")  # encoded segments, none of them "." or ".."; no query


async def build_http_call(request: Request, api: str, token: str, seconds: float | None) -> Call:
    """Raises `Undecodable` when the path or the payload cannot be sent as they are."""
    if not PATH.fullmatch(request.path):
        raise Undecodable("the path is not encoded, or leads out of the API")
    headers = {"Authorization": f"Bearer {token}"}
    correlation = structlog.contextvars.get_contextvars().get("correlation_id")
    if isinstance(correlation, str) and correlation.isascii() and correlation.isprintable():
        headers["X-Correlation-Id"] = correlation[:CORRELATION_LIMIT]
    data = None
    if request.form:
        data, headers["Content-Type"] = await encode_form(request.body)
    elif request.body is not None:
        headers["Content-Type"] = "application/json"
        data = encode(request.body)
    url = URL(api + request.path, encoded=True)
    return Call(request.method, url.with_query(request.query) if request.query else url, headers, data, seconds)
