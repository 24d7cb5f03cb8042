"""A proxy in front of a real Halo: forwards requests, and writes scrubbed answers to a file. It forwards only reads, unless writes are allowed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from worker.core.errors import Undecodable
from worker.core.json_codec import decode
from worker.core.url_paths import leaves_folder
from worker.sandbox.recording.exchange_file import ExchangeWriter, RecordedExchange
from worker.sandbox.recording.scrubbing import Scrubber
from worker.sandbox.responses import json_answer
from worker.sandbox.server import MAX_REQUEST_BYTES, listen

TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=20)
MAX_ANSWER = 64 * 1024 * 1024
PASSED_ON = ("Authorization", "Accept", "Content-Type", "halo-app-name")
PASSED_BACK = ("Date", "Retry-After", "WWW-Authenticate")
LITERAL = re.compile(r"'(?:[^']|'')*'")
Watch = Callable[[str, str, int], None]
"""Called with method, scrubbed path and status of each request."""


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """An answer of the real Halo."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    body: bytes


class Recorder:
    """`upstream`: the address of the real Halo, without a path. `writes`: whether to forward requests other than reads; these are never recorded."""

    def __init__(self, upstream: URL, session: aiohttp.ClientSession, scrubber: Scrubber, writer: ExchangeWriter, *, writes: bool, watch: Watch) -> None:
        self._upstream = upstream
        self._session = session
        self._scrubber = scrubber
        self._writer = writer
        self._writes = writes
        self._watch = watch

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        sent = await request.read()
        api = request.path.lower().startswith("/api/")
        path = request.path[len("/api") :] if api else request.path
        if not self._allowed(request.method, path, sent, api=api):
            reason = f"the recorder lets reads through only: start it with --writes to pass on {request.method} as well"
            return self._seen(request.method, path, json_answer({"error": reason}, status=405), api=api)
        try:
            passed = await self._pass_on(request, sent)
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._seen(request.method, path, json_answer({"error": f"the real Halo did not answer: {type(error).__name__}"}, status=502), api=api)
        if api and path.lower() == "/authinfo":
            return self._seen(request.method, path, own_addresses(passed, str(request.url.origin())), api=api)
        if api and (request.method == "GET" or is_report(path)):
            self._record(request, path, passed, sent)
        answer = web.Response(status=passed.status, body=passed.body, headers=dict(passed.headers))
        answer.headers["Content-Type"] = passed.content_type
        return self._seen(request.method, path, answer, api=api)

    def _allowed(self, method: str, path: str, sent: bytes, *, api: bool) -> bool:
        if leaves_folder(path):  # Halo would read it as another path than the one checked here
            return False
        if not api:
            return path.lower().startswith("/auth/")
        return self._writes or method in {"GET", "HEAD", "OPTIONS"} or (method == "POST" and is_report(path) and only_loads(sent))

    async def _pass_on(self, request: web.Request, sent: bytes) -> UpstreamAnswer:
        """Raises `aiohttp.ClientError`, `TimeoutError`."""
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        address = URL(f"{self._upstream.origin()}{request.rel_url.raw_path_qs}", encoded=True)  # so that the path of a request cannot name another host
        async with self._session.request(request.method, address, data=sent or None, headers=headers, allow_redirects=False) as answer:
            body = await answer.content.read(MAX_ANSWER + 1)
            while len(body) <= MAX_ANSWER and not answer.content.at_eof():
                body += await answer.content.read(MAX_ANSWER + 1 - len(body))
            if len(body) > MAX_ANSWER:
                raise aiohttp.ClientPayloadError
            kept = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
            return UpstreamAnswer(answer.status, answer.headers.get("Content-Type", "application/octet-stream"), kept, body)

    def _record(self, request: web.Request, path: str, passed: UpstreamAnswer, sent: bytes) -> None:
        """Write the exchange to the file, without an answer's body that is no JSON."""
        try:
            body = self._scrubber.value(decode(passed.body)) if passed.body else None
        except Undecodable:
            body = None
        statement = statement_digest(sent) if request.method == "POST" else ""
        query = self._scrubber.query(dict(request.query))
        self._writer.add(RecordedExchange(request.method, self._scrubber.path(path), query, passed.status, body, statement))

    def _seen(self, method: str, path: str, answer: web.Response, *, api: bool) -> web.Response:
        self._watch(method, self._scrubber.path(path) if api else "/auth/…", answer.status)
        return answer


def is_report(path: str) -> bool:
    return path.lower().rstrip("/") == "/report"


def report_of(sent: bytes) -> list[dict[str, Any]]:
    """Return the reports that a POST asks for; none if the body is not understood."""
    try:
        body = decode(sent)
    except Undecodable:
        return []
    reports = body if isinstance(body, list) else [body]
    return reports if all(isinstance(each, dict) for each in reports) else []


def only_loads(sent: bytes) -> bool:
    """Whether a POST of reports stores nothing (source: Halo's `_loadreportonly`)."""
    reports = report_of(sent)
    return bool(reports) and all(each.get("_loadreportonly") is True and not each.get("id") for each in reports)


def statement_digest(sent: bytes) -> str:
    """Return a digest of the statement without its literals, such as the position of a subscriber."""
    statements = [LITERAL.sub("''", str(each.get("sql", ""))) for each in report_of(sent)]
    return sha256("\n".join(statements).encode()).hexdigest()[:16]


def own_addresses(passed: UpstreamAnswer, origin: str) -> web.Response:
    """Return Halo's `authinfo` with the addresses of the proxy, so that clients fetch tokens through it."""
    try:
        info = decode(passed.body)
    except Undecodable:
        info = {}
    tenant = info.get("tenant_id") if isinstance(info, dict) else None
    return json_answer({"auth_url": f"{origin}/auth", "token_url": f"{origin}/auth/token", "tenant_id": tenant}, status=passed.status)


@asynccontextmanager
async def record(upstream: URL, scrubber: Scrubber, writer: ExchangeWriter, host: str, port: int, *, writes: bool, watch: Watch) -> AsyncIterator[str]:
    """Run a recorder; yields its address."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        recorder = Recorder(upstream, session, scrubber, writer, writes=writes, watch=watch)
        async with listen(recorder.application(), host, port) as url:
            yield url
