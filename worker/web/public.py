"""The public port: `POST /runbooks/{name}` and `POST /webhooks/{name}`. Strangers reach it, so it is strict, bounded, and tells them nothing.

A call without credentials is answered 401 before its body is read. Basic credentials are judged by the headers. A signature can be judged only with the
body, so a call that shows one waits for its body in a room: strangers in one that is small and paced, peers that were admitted within a day in another,
which they share with the calls that are being stored. A room and each peer's share of it are bounded; the newest call enters, and the oldest whose body has
not come yet gives way, so that slow senders displace each other and not an honest caller. Connections are bounded in the same way, before any byte is read.
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
from worker.web.bodies import RETRY_AFTER, BodyReader, Refused, deliveries_of, not_yet
from worker.web.callers import Gate, Shown
from worker.web.connections import Connections
from worker.web.peers import Acquaintances, Network, Proxies
from worker.web.rooms import Place, Room
from worker.web.serving import answer, application, listening

log = structlog.get_logger()
HEADER_SECONDS = 5.0  # aiohttp's keep-alive limit, which also runs while the first line and the headers of a request are awaited
STORING_SECONDS = 20.0
LINGERING_SECONDS = 2.0  # a refused body is still read for so long, so that the sender gets to see the answer; its connection may have to give way
CALLS_AT_ONCE = 100  # of known peers, those that are being stored among them
STRANGERS_AT_ONCE = 48
STRANGERS_SHARE = 16
UNSTORED = "it cannot be stored now; send it again later"

Receive = Callable[[str, Sequence[dict[str, Any]]], Awaitable[Mapping[str, Any]]]
"""Takes the path and the deliveries of an admitted call; returns, when all of them are safe, what is to be answered. Raises `BrokerError` or `EvaluatorUnavailable` when they are not."""


@dataclass(frozen=True, slots=True)
class Peers:
    """What an operator says of those who connect. `proxies`: whose X-Forwarded-For is believed; `share`: most connections of one address."""

    proxies: tuple[Network, ...] = ()
    share: int = 64


class Public:
    """The answers of the public port. Who calls is judged before what is sent, and before whether it can be stored."""

    def __init__(self, gate: Gate, receive: Receive, metrics: Metrics, peers: Peers) -> None:
        self._gate = gate
        self._receive = receive
        self._metrics = metrics
        self._proxies = Proxies(peers.proxies)
        self._known = Acquaintances()
        self._strangers = Room(STRANGERS_AT_ONCE, STRANGERS_SHARE)
        self._calls = Room(CALLS_AT_ONCE, CALLS_AT_ONCE)
        self.connections = Connections(self._proxies, self._known, peers.share, metrics.cut_connections.inc)

    async def call(self, request: web.Request) -> web.Response:
        try:
            return answer(202, await self._take(request))
        except Refused as refused:
            log.info("call.refused", status=refused.status, reason=str(refused))
            self._metrics.refused_calls.labels(str(refused.status)).inc()
            refusal = answer(refused.status, {"error": str(refused)}, **refused.headers)
            if refused.close:
                refusal.force_close()
            return refusal
        finally:
            self.connections.hold(request.transport, firm=False)

    async def _take(self, request: web.Request) -> Mapping[str, Any]:
        peer = self._proxies.caller(request.remote or "", request.headers)
        shown = self._gate.shown(request.path, request.headers)
        if shown is Shown.NOTHING:
            raise unknown()
        stranger = shown is Shown.SIGNATURE and not self._known.knows(peer)
        reader = BodyReader(request, paced=stranger)
        with place_in(self._strangers if stranger else self._calls, peer, reader.give_way) as place:
            body = await reader.read()
            if shown is Shown.SIGNATURE and not self._gate.signs(request.path, request.headers, body):
                raise unknown()
            self._known.admitted(peer)
            if not stranger:
                return await self._store(request, body, place)
        with place_in(self._calls, peer, reader.give_way) as place:
            return await self._store(request, body, place)

    async def _store(self, request: web.Request, body: bytes, place: Place) -> Mapping[str, Any]:
        """An admitted call does not give way any more."""
        place.firm = True
        self.connections.hold(request.transport, firm=True)
        deliveries = deliveries_of(body)
        try:
            async with asyncio.timeout(STORING_SECONDS):
                return await self._receive(request.path, deliveries)
        except TimeoutError:
            reason = "the broker did not confirm it in time"
        except Unpublishable as error:
            raise Refused(413, f"it cannot be stored, now or later: {error}") from None
        except (BrokerError, EvaluatorUnavailable) as error:
            reason = str(error)
        log.warning("call.unstored", path=request.path, reason=reason)
        raise Refused(503, UNSTORED, Retry_After=RETRY_AFTER)


@contextmanager
def place_in(room: Room, peer: str, give_way: Callable[[], None]) -> Iterator[Place]:
    """Raises `Refused` where every place is taken by a call that is being stored."""
    place = room.enter(peer, give_way)
    if place is None:
        raise Refused(503, "too many calls at once; send it again later", close=True, Retry_After=RETRY_AFTER)
    try:
        yield place
    finally:
        room.leave(place)


def unknown() -> Refused:
    """One answer for an unknown address, no credentials and wrong ones."""
    return Refused(401, "unknown address or credentials", close=True, WWW_Authenticate='Basic realm="halo-worker", charset="UTF-8"')


def doors_of(runbooks: Mapping[str, Runbook], webhooks: Mapping[str, Webhook]) -> dict[str, CallerAuth]:
    """Who may call which path; empty when nothing needs the public port."""
    endpoints = {f"/runbooks/{name}": runbook.endpoint for name, runbook in runbooks.items() if runbook.endpoint is not None}
    return endpoints | {f"/webhooks/{name}": webhook.auth for name, webhook in webhooks.items()}


@asynccontextmanager
async def serve_public(
    host: str, port: int, doors: Mapping[str, CallerAuth], receive: Receive, metrics: Metrics, peers: Peers | None = None
) -> AsyncIterator[int]:
    """Serve until the end of the block, then let calls in hand end; yields the port in use. Raises `WorkerError` when it cannot listen."""
    public = Public(Gate(doors), receive, metrics, peers or Peers())
    served = application()
    served.router.add_post("/runbooks/{name}", public.call, expect_handler=not_yet)
    served.router.add_post("/webhooks/{name}", public.call, expect_handler=not_yet)
    limits = {"auto_decompress": False, "keepalive_timeout": HEADER_SECONDS, "lingering_time": LINGERING_SECONDS}
    entrance = public.connections.behind
    async with listening(served, host, port, name="public", shutdown_timeout=STORING_SECONDS, entrance=entrance, **limits) as bound:
        log.info("public.listening", host=host, port=bound)
        yield bound
