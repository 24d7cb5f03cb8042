"""The public port: `POST /runbooks/{name}` and `POST /webhooks/{name}`. Strangers reach it, so it is strict, bounded, and tells them nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from worker.config.automation import CallerAuth, Runbook, Webhook
from worker.core.errors import BrokerError, EvaluatorUnavailable, Undecodable
from worker.core.jsontext import decode
from worker.metrics import Metrics
from worker.web.callers import Gate
from worker.web.serving import answer, application, listening

log = structlog.get_logger()
BODY_LIMIT = 1024 * 1024
BATCH_LIMIT = 1000
BODY_SECONDS = 10.0
HEADER_SECONDS = 10.0  # aiohttp's keep-alive limit, which also runs while the first line and the headers of a request are awaited
STORING_SECONDS = 20.0
LINGERING_SECONDS = 2.0  # a refused body is still read for so long, so that the sender gets to see the answer
CALLS_AT_ONCE = 100
RETRY_AFTER = "5"
UNSTORED = "it cannot be stored now; send it again later"

Receive = Callable[[str, Sequence[dict[str, Any]]], Awaitable[Mapping[str, Any]]]
"""Takes the path and the deliveries of an admitted call; returns, when all of them are safe, what is to be answered. Raises `BrokerError` or `EvaluatorUnavailable` when they are not."""


class Refused(Exception):
    """The call is answered with this status and sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class Public:
    """The answers of the public port. Who calls is judged before what is sent, and before whether it can be stored."""

    def __init__(self, gate: Gate, receive: Receive, metrics: Metrics) -> None:
        self._gate = gate
        self._receive = receive
        self._metrics = metrics
        self._calls = 0

    async def call(self, request: web.Request) -> web.Response:
        self._calls += 1
        try:
            return answer(202, await self._take(request))
        except Refused as refused:
            log.info("call.refused", status=refused.status, reason=str(refused))
            self._metrics.refused_calls.labels(str(refused.status)).inc()
            return answer(refused.status, {"error": str(refused)}, **refused.headers)
        finally:
            self._calls -= 1

    async def _take(self, request: web.Request) -> Mapping[str, Any]:
        if self._calls > CALLS_AT_ONCE:
            raise Refused(503, "too many calls at once; send it again later", Retry_After=RETRY_AFTER)
        body = await body_of(request)
        if not self._gate.admits(request.path, request.headers, body):
            raise Refused(401, "unknown address or credentials", WWW_Authenticate='Basic realm="halo-worker", charset="UTF-8"')
        deliveries = deliveries_of(body)
        try:
            async with asyncio.timeout(STORING_SECONDS):
                return await self._receive(request.path, deliveries)
        except TimeoutError:
            reason = "the broker did not confirm it in time"
        except (BrokerError, EvaluatorUnavailable) as error:
            reason = str(error)
        log.warning("call.unstored", path=request.path, reason=reason)
        raise Refused(503, UNSTORED, Retry_After=RETRY_AFTER)


async def body_of(request: web.Request) -> bytes:
    """The raw body. Raises `Refused` for one that is compressed, too large, too slow or cut."""
    if request.headers.get("Content-Encoding"):
        raise Refused(415, "the body must not be compressed: leave Content-Encoding out")
    too_large = Refused(413, f"the body is larger than {BODY_LIMIT:,} bytes", Connection="close")
    if (request.content_length or 0) > BODY_LIMIT:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise too_large
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:g} seconds", Connection="close") from None
    except (web.RequestPayloadError, ConnectionError):
        raise Refused(400, "the body was cut", Connection="close") from None
    return bytes(body)


def deliveries_of(body: bytes) -> list[dict[str, Any]]:
    """One object, or an array of them. Raises `Refused` with what is wrong."""
    try:
        value = decode(body, BODY_LIMIT)
    except Undecodable as error:
        raise Refused(400, str(error)) from None
    deliveries = value if isinstance(value, list) else [value]
    if not deliveries or not all(isinstance(delivery, dict) for delivery in deliveries):
        raise Refused(400, "the body must be a JSON object or an array of objects")
    if len(deliveries) > BATCH_LIMIT:
        raise Refused(413, f"the array has {len(deliveries):,} objects; at most {BATCH_LIMIT:,} are taken at once")
    return deliveries


def doors_of(runbooks: Mapping[str, Runbook], webhooks: Mapping[str, Webhook]) -> dict[str, CallerAuth]:
    """Who may call which path; empty when nothing needs the public port."""
    endpoints = {f"/runbooks/{name}": runbook.endpoint for name, runbook in runbooks.items() if runbook.endpoint is not None}
    return endpoints | {f"/webhooks/{name}": webhook.auth for name, webhook in webhooks.items()}


@asynccontextmanager
async def serve_public(host: str, port: int, doors: Mapping[str, CallerAuth], receive: Receive, metrics: Metrics) -> AsyncIterator[int]:
    """Serve until the end of the block, then let calls in hand end; yields the port in use. Raises `WorkerError` when it cannot listen."""
    public = Public(Gate(doors), receive, metrics)
    served = application()
    served.router.add_post("/runbooks/{name}", public.call)
    served.router.add_post("/webhooks/{name}", public.call)
    limits = {"auto_decompress": False, "keepalive_timeout": HEADER_SECONDS, "lingering_time": LINGERING_SECONDS}
    async with listening(served, host, port, name="public", shutdown_timeout=STORING_SECONDS, **limits) as bound:
        log.info("public.listening", host=host, port=bound)
        yield bound
