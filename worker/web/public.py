"""The public port: `POST /runbooks/{name}` and `POST /webhooks/{name}`. Strangers reach it: it is strict, bounded, and shows them no information.

A call without credentials gets 401 before its body is read. Basic credentials are in the headers. A signature needs the body, so such a call
takes an admission while its body arrives. Strangers share a small pool and must keep a minimum pace. Peers that were admitted within a day share another pool
with the calls that are being stored. When a pool or the share of a peer is full, the newest call replaces the oldest whose body has not arrived: slow senders
displace each other and not an honest caller. Connections are limited in the same way, before the worker reads any byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from worker.config.automation import CallerAuth, Runbook, Webhook
from worker.core.errors import BrokerError, EvaluatorUnavailable, Unpublishable
from worker.metrics import Metrics
from worker.web.admission import Admission, AdmissionPool
from worker.web.authentication import Authenticator, Evidence
from worker.web.bodies import RETRY_AFTER, BodyReader, HttpRefusal, on_expect, read_deliveries
from worker.web.connections import Connections
from worker.web.peers import KnownPeers, Network, Proxies
from worker.web.serving import answer, application, listening

log = structlog.get_logger()
HEADER_SECONDS = 5.0  # aiohttp's keep-alive limit, which also limits the wait for the first line and the headers of a request
STORING_SECONDS = 20.0
LINGERING_SECONDS = 2.0  # the worker reads a refused body for this long, so that its sender sees the answer
CALLS_AT_ONCE = 100  # of known peers, including calls that are being stored
STRANGERS_AT_ONCE = 48
STRANGERS_SHARE = 16
UNSTORED = "it cannot be stored now; send it again later"

Receive = Callable[[str, Sequence[dict[str, Any]]], Awaitable[Mapping[str, Any]]]
"""Store the deliveries of a call to a path, and return the answer. Raises `BrokerError` or `EvaluatorUnavailable` when they are not stored."""


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """Settings about peers. `proxies`: the networks whose `X-Forwarded-For` is trusted; `share`: maximum connections of one address."""

    proxies: tuple[Network, ...] = ()
    share: int = 64


class Public:
    """The answers of the public port. It authenticates the caller before it looks at the deliveries or the broker."""

    def __init__(self, authenticator: Authenticator, receive: Receive, metrics: Metrics, peers: PeerLimits) -> None:
        self._authenticator = authenticator
        self._receive = receive
        self._metrics = metrics
        self._proxies = Proxies(peers.proxies)
        self._known = KnownPeers()
        self._strangers = AdmissionPool(STRANGERS_AT_ONCE, STRANGERS_SHARE)
        self._calls = AdmissionPool(CALLS_AT_ONCE, CALLS_AT_ONCE)
        self.connections = Connections(self._proxies, self._known, peers.share, metrics.cut_connections.inc)

    async def call(self, request: web.Request) -> web.Response:
        try:
            return answer(202, await self._take(request))
        except HttpRefusal as refused:
            log.info("call.refused", status=refused.status, reason=str(refused))
            self._metrics.refused_calls.labels(str(refused.status)).inc()
            refusal = answer(refused.status, {"error": str(refused)}, **refused.headers)
            if refused.close:
                refusal.force_close()
            return refusal
        finally:
            self.connections.pin(request.transport, pinned=False)

    async def _take(self, request: web.Request) -> Mapping[str, Any]:
        peer = self._proxies.caller(request.remote or "", request.headers.getall("X-Forwarded-For", []))
        evidence = self._authenticator.evidence(request.path, request.headers)
        if evidence is Evidence.NOTHING:
            raise unknown_caller()
        stranger = evidence is Evidence.SIGNATURE and not self._known.knows(peer)
        reader = BodyReader(request, paced=stranger)
        with admitted(self._strangers if stranger else self._calls, peer, reader.evict) as admission:
            body = await reader.read()
            if evidence is Evidence.SIGNATURE and not self._authenticator.is_signed(request.path, request.headers, body):
                raise unknown_caller()
            self._known.add(peer)
            if not stranger:
                return await self._store(request, body, admission, evidence)
        with admitted(self._calls, peer, reader.evict) as admission:
            return await self._store(request, body, admission, evidence)

    async def _store(self, request: web.Request, body: bytes, admission: Admission, evidence: Evidence) -> Mapping[str, Any]:
        """Store the deliveries of an authenticated call; from now on it is not evicted."""
        admission.pinned = True
        self.connections.pin(request.transport, pinned=True)
        deliveries = await read_deliveries(body, request.headers, signed=evidence is Evidence.SIGNATURE)
        try:
            async with asyncio.timeout(STORING_SECONDS):
                return await self._receive(request.path, deliveries)
        except TimeoutError:
            reason = "the broker did not confirm it in time"
        except Unpublishable as error:
            raise HttpRefusal(413, f"it cannot be stored, now or later: {error}") from None
        except (BrokerError, EvaluatorUnavailable) as error:
            reason = str(error)
        log.warning("call.unstored", path=request.path, reason=reason)
        raise HttpRefusal(503, UNSTORED, Retry_After=RETRY_AFTER)


@contextmanager
def admitted(pool: AdmissionPool, peer: str, evict: Callable[[], None]) -> Iterator[Admission]:
    """Admit a call. Raises `HttpRefusal` when calls that are being stored fill the whole pool."""
    admission = pool.admit(peer, evict)
    if admission is None:
        raise HttpRefusal(503, "too many calls at once; send it again later", close=True, Retry_After=RETRY_AFTER)
    try:
        yield admission
    finally:
        pool.release(admission)


def unknown_caller() -> HttpRefusal:
    """Return the same answer for an unknown address, missing credentials and wrong credentials."""
    return HttpRefusal(401, "unknown address or credentials", close=True, WWW_Authenticate='Basic realm="halo-worker", charset="UTF-8"')


def endpoints_of(runbooks: Mapping[str, Runbook], webhooks: Mapping[str, Webhook]) -> dict[str, CallerAuth]:
    """Return the authentication of each path; empty when no route needs the public port."""
    endpoints = {f"/runbooks/{name}": runbook.endpoint for name, runbook in runbooks.items() if runbook.endpoint is not None}
    return endpoints | {f"/webhooks/{name}": webhook.auth for name, webhook in webhooks.items()}


@asynccontextmanager
async def serve_public(
    host: str, port: int, endpoints: Mapping[str, CallerAuth] | Authenticator, receive: Receive, metrics: Metrics, peers: PeerLimits | None = None
) -> AsyncIterator[int]:
    """Serve until the end of the block, then let calls in flight end; yields the port in use. An `Authenticator` may get other endpoints meanwhile.

    Raises `WorkerError` when it cannot listen.
    """
    public = Public(endpoints if isinstance(endpoints, Authenticator) else Authenticator(endpoints), receive, metrics, peers or PeerLimits())
    served = application()
    served.router.add_post("/runbooks/{name}", public.call, expect_handler=on_expect)
    served.router.add_post("/webhooks/{name}", public.call, expect_handler=on_expect)
    limits = {"auto_decompress": False, "keepalive_timeout": HEADER_SECONDS, "lingering_time": LINGERING_SECONDS}
    async with listening(served, host, port, name="public", shutdown_timeout=STORING_SECONDS, wrapper=public.connections.wrap, **limits) as bound:
        log.info("public.listening", host=host, port=bound)
        yield bound
