"""The Halo client: authorised, budgeted requests, and whether Halo is available at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, replace
from functools import partial

import structlog

from worker.config.routes import Client, Grant
from worker.core.entropy import uniform
from worker.core.exchange import PROBE, Exchange, Priority, Request, RequestResult
from worker.core.health import Health
from worker.core.ports import Clock
from worker.core.sending import send_reserved
from worker.halo.addresses import api_address, finder
from worker.halo.auth import AuthManager
from worker.halo.budget import FIRST, Budget, Budgets
from worker.halo.circuit import Circuit
from worker.halo.grants import NoToken
from worker.halo.interception import Intercept, no_interception
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.slot import HaloSlot, Reservations, SharedAccess
from worker.halo.token_source import GrantSource, TokenEndpoint
from worker.halo.transport import Send, open_transport
from worker.metrics import Metrics

PROBE_TIMEOUT = 10.0
PROBE_FIRST = 1.0
PROBE_LIMIT = 30.0

log = structlog.get_logger()


class HaloClient:
    """Implements `worker.core.ports.Halo`; `open_client` makes it."""

    def __init__(self, client: Client, *, send: Send, auth: AuthManager, budget: Budget, circuit: Circuit, metrics: Metrics, clock: Clock) -> None:
        self._client = client
        self._api = api_address(client)
        self._auth = auth
        self._circuit = circuit
        self._metrics = metrics
        self._clock = clock
        self.access = SharedAccess(client, auth, budget, ShutdownGate())
        self._reservations = Reservations(self.access, self._api, send, clock)
        self._confirmation: asyncio.Task[str] | None = None

    @property
    def name(self) -> str:
        return self._client.name

    @property
    def timeout(self) -> float:
        return self._client.timeout

    @property
    def available(self) -> bool:
        return self._circuit.available

    async def wait_available(self) -> None:
        await self._circuit.wait_available()

    async def wait_unavailable(self) -> None:
        await self._circuit.wait_unavailable()

    def source(self, path: str) -> str:
        return self._api + path

    def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> CheckedSlot:
        """Reserve a slot. While Halo is known to be down, the result is at once an exchange that is NOT_SENT and `down`."""
        return CheckedSlot(self._reservations.reserve(request, priority, request.timeout, after=after), self)

    def refused(self, request: Request) -> Exchange | None:
        """The exchange with the reason why the client sends nothing now; None while it sends."""
        return self._recorded(request, Exchange(RequestResult.NOT_SENT, reason=self._circuit.reason, down=True)) if self._circuit.broken else None

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        return await send_reserved(partial(self.reserve, request, priority=priority))

    def stop_waiting(self) -> None:
        """End as NOT_SENT the requests that wait for budget or a token, and later ones that would have to wait: the worker stops."""
        self.access.shutdown.close()

    async def watch(self) -> None:
        """Get the first token. Then, whenever the client is down, probe Halo until it is up again: one probe at a time, 1 s to 30 s apart."""
        while True:
            await self._circuit.wait_unavailable()
            reason = self._circuit.reason or await self._first_token()
            delay = PROBE_FIRST
            while reason:
                await self._clock.sleep(max(delay * uniform(0.8, 1.0), self._auth.retry_delay))
                delay = min(delay * 2, PROBE_LIMIT)
                reason = await self._probe()
                if reason:
                    self._circuit.open(reason)
            self._circuit.close()

    async def _first_token(self) -> str:
        token = await self._auth.token()
        if isinstance(token, NoToken):
            self._circuit.open(token.reason)
            return token.reason
        return ""

    async def checked(self, request: Request, exchange: Exchange) -> Exchange:
        """The exchange with a probe's result about Halo as a whole, recorded. An exchange that is sent again with a new token is only part of a request."""
        return exchange if exchange.stale_token else self._recorded(request, await self._settled(exchange))

    async def _settled(self, exchange: Exchange) -> Exchange:
        """The exchange with the true state of Halo as a whole. A failure after sending may concern one endpoint only, so a probe decides."""
        if not exchange.down:
            return exchange
        if exchange.result is RequestResult.NOT_SENT:
            self._circuit.open(exchange.reason)
            return exchange
        reason = self._circuit.reason or await self._confirm()
        if reason and exchange.result is RequestResult.AUTH:  # Halo lets in no request of this client: this one had no effect and is not the cause
            exchange = replace(exchange, result=RequestResult.NOT_SENT, reason=reason)
        return replace(exchange, down=bool(reason))

    async def _confirm(self) -> str:
        """Why Halo is down, empty when it is not. Requests that fail together share one probe."""
        if self._confirmation is None:
            self._confirmation = asyncio.create_task(self._probe(), name=f"probe of client {self.name}", context=Context())
            self._confirmation.add_done_callback(self._confirmed)
        reason = await asyncio.shield(self._confirmation)
        if reason and not self._circuit.broken:
            self._circuit.open(reason)
        return reason

    def _confirmed(self, _: asyncio.Task[str]) -> None:
        self._confirmation = None

    async def _probe(self) -> str:
        """Why Halo cannot be used, empty when it can. A probe that could not be sent does not show that it can."""
        exchange = await send_reserved(partial(self._reservations.reserve, PROBE, FIRST, PROBE_TIMEOUT))
        return exchange.reason if exchange.down or exchange.result is RequestResult.NOT_SENT else ""

    def _recorded(self, request: Request, exchange: Exchange) -> Exchange:
        self._metrics.requests.labels(self.name, request.method, exchange.result.value).inc()
        if exchange.duration:
            self._metrics.request_seconds.labels(self.name).observe(exchange.duration)
        log.debug(
            "request.done",
            client=self.name,
            method=request.method,
            path=request.path,
            status=exchange.status,
            fate=exchange.result.value,
            ms=round(exchange.duration * 1000),
        )
        return exchange

    async def close(self) -> None:
        if self._confirmation is not None:
            self._confirmation.cancel()
            await asyncio.gather(self._confirmation, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class CheckedSlot:
    """A slot whose exchange has the true state of Halo as a whole."""

    slot: HaloSlot
    client: HaloClient

    async def __aenter__(self) -> CheckedSlot | Exchange:
        request, client = self.slot.request, self.client
        if (refused := client.refused(request)) is not None:
            return refused
        entered = await self.slot.__aenter__()
        return await client.checked(request, entered) if isinstance(entered, Exchange) else self

    async def __aexit__(self, *_: object) -> None:
        await self.slot.__aexit__()

    async def send(self, until: float | None = None) -> Exchange:
        return await self.client.checked(self.slot.request, await self.slot.send(until))


@asynccontextmanager
async def open_client(
    client: Client,
    budgets: Budgets,
    metrics: Metrics,
    health: Health,
    clock: Clock,
    *,
    reload: Callable[[], Grant] | None = None,
    transport: Callable[[Client], AbstractAsyncContextManager[Send]] = open_transport,
    intercept: Intercept = no_interception,
) -> AsyncIterator[HaloClient]:
    """Open a client: its connections, its token, its probe. It does not wait for Halo; `health` and `available` show whether Halo can be used.

    `reload` reads the grant again after Halo refused its secret. `intercept` handles all requests before `transport`, except those for a token.
    Raises `ConfigError` when the CA file or a header cannot be used.
    """
    budget = budgets.of(client)
    metrics.budget_used.labels(client.name).set_function(lambda: budget.used)
    metrics.budget_limit.labels(client.name).set(budget.limit or 0)
    metrics.budget_waiting.labels(client.name).set_function(lambda: budget.waiting)
    async with transport(client) as send:
        endpoint = TokenEndpoint(client.name, finder(client, send, budget), send, client.timeout, budget, metrics, clock)
        auth = AuthManager(client.name, GrantSource(client.grant, endpoint, reload), clock)
        held = intercept(api_address(client), send, "")
        halo = HaloClient(client, send=held, auth=auth, budget=budget, circuit=Circuit(client.name, health, metrics), metrics=metrics, clock=clock)
        watching = asyncio.create_task(halo.watch(), name=f"watch of client {client.name}")
        try:
            yield halo
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await halo.close()
            await auth.close()
