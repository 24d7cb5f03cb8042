"""The Halo client: authorised, budgeted requests, and the knowledge whether Halo is there at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, replace
from http import HTTPStatus

import structlog

from worker.config.routes import Client, Grant
from worker.core.errors import Undecodable
from worker.core.exchange import Exchange, Fate, Priority, Request
from worker.core.health import Health
from worker.core.known_secrets import KnownSecrets
from worker.core.ports import Clock
from worker.halo.addresses import api_address, finder
from worker.halo.auth import AuthManager, Token
from worker.halo.budget import FIRST, Budget, Budgets
from worker.halo.calls import call_of
from worker.halo.circuit import Circuit
from worker.halo.grants import NoToken
from worker.halo.outcome import judge
from worker.halo.patience import Patience
from worker.halo.transport import Answer, Failure, Send, gated, open_transport
from worker.metrics import Metrics

PROBE = Request("GET", "/Status", {"count": "1"})  # small, needs a token and hardly a permission; a 403 is an answer too
PROBE_TIMEOUT = 10.0
PROBE_FIRST = 1.0
PROBE_LIMIT = 30.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """A request on its way through token, budget and network. `limit` bounds its waiting, `seconds` its exchange."""

    request: Request
    priority: int
    limit: asyncio.Timeout
    seconds: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What sends requests of its own with this client's token needs: to be one of those who share the token and the budget, and who stop together."""

    client: Client
    auth: AuthManager
    budget: Budget
    patience: Patience


class HaloClient:
    """Implements `worker.core.ports.Halo`; made by `open_client`."""

    def __init__(self, client: Client, *, send: Send, auth: AuthManager, budget: Budget, circuit: Circuit, metrics: Metrics, clock: Clock) -> None:
        self._client = client
        self._api = api_address(client)
        self._send = send
        self._auth = auth
        self._budget = budget
        self._circuit = circuit
        self._metrics = metrics
        self._clock = clock
        self._patience = Patience()
        self._confirmation: asyncio.Task[str] | None = None

    @property
    def name(self) -> str:
        return self._client.name

    @property
    def timeout(self) -> float:
        return self._client.timeout

    @property
    def access(self) -> Access:
        return Access(self._client, self._auth, self._budget, self._patience)

    @property
    def available(self) -> bool:
        return self._circuit.available

    async def wait_available(self) -> None:
        await self._circuit.wait_available()

    async def wait_unavailable(self) -> None:
        await self._circuit.wait_unavailable()

    def source(self, path: str) -> str:
        return self._api + path

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """Send one request when its turn comes. While Halo is known to be away it is not tried: the answer is NOT_SENT and `down` at once."""
        if self._circuit.broken:
            exchange = Exchange(Fate.NOT_SENT, reason=self._circuit.reason, down=True)
        else:
            exchange = await self._settled(await self._patiently(request, priority))
        self._record(request, exchange)
        return exchange

    def stop_waiting(self) -> None:
        """The worker stops: requests that wait for their turn or a token end as NOT_SENT, and so do later ones that would have to wait."""
        self._patience.end()

    async def watch(self) -> None:
        """Get the first token, and from then on bring the client back whenever it is down: one probe at a time, 1 s to 30 s apart."""
        while True:
            await self._circuit.wait_unavailable()
            reason = self._circuit.reason or await self._first_token()
            delay = PROBE_FIRST
            while reason:
                await self._clock.sleep(max(delay * random.uniform(0.8, 1.0), self._auth.patience))  # noqa: S311 - spreads the probes of replicas
                delay = min(delay * 2, PROBE_LIMIT)
                reason = await self._probe()
                if reason:
                    self._circuit.trip(reason)
            self._circuit.mend()

    async def _first_token(self) -> str:
        token = await self._auth.token()
        if isinstance(token, NoToken):
            self._circuit.trip(token.reason)
            return token.reason
        return ""

    async def _patiently(self, request: Request, priority: int, seconds: float | None = None) -> Exchange:
        try:
            async with self._patience.wait() as limit:
                return await self._authorised(Errand(request, priority, limit, seconds or request.timeout))
        except TimeoutError:
            return Exchange(Fate.NOT_SENT, reason="the worker stopped before the request was sent")

    async def _authorised(self, errand: Errand) -> Exchange:
        token = await self._auth.token()
        if isinstance(token, NoToken):
            return Exchange(Fate.NOT_SENT, reason=token.reason, down=True)
        exchange, used = await self._once(errand, token)
        if exchange.status != HTTPStatus.UNAUTHORIZED:
            return exchange
        fresh = await self._auth.token(rejected=used.value)
        if isinstance(fresh, NoToken):
            return Exchange(Fate.NOT_SENT, reason=fresh.reason, down=True)
        exchange, _ = await self._once(errand, fresh)
        return exchange

    async def _once(self, errand: Errand, token: Token) -> tuple[Exchange, Token]:
        """One exchange, or two when the connection of a GET broke before its answer; with the token that was used."""
        exchange, used, interrupted = await self._exchange(errand, token)
        if interrupted and errand.request.method == "GET":
            exchange, used, _ = await self._exchange(errand, token)
        return exchange, used

    async def _exchange(self, errand: Errand, token: Token) -> tuple[Exchange, Token, bool]:
        async with self._budget.turn(errand.priority) as turn:
            token = self._auth.ready() or token  # it may have been renewed while we waited for our turn
            try:
                call = await call_of(errand.request, self._api, token.value, errand.seconds)
            except Undecodable as error:
                turn.unused = True
                return Exchange(Fate.REJECTED, reason=f"not sent: {error}"), token, False
            with self._patience.sending(errand.limit):
                result = await gated(self._send, errand.request.gate)(call)
            exchange = replace(judge(self._without_our_secrets(result)), duration=self._clock.monotonic() - turn.started)
            turn.unused = exchange.fate is Fate.NOT_SENT
            if exchange.fate is Fate.THROTTLED:
                exchange = replace(exchange, retry_after=self._budget.throttled(turn.started, exchange.retry_after))
        return exchange, token, isinstance(result, Failure) and result.interrupted

    def _without_our_secrets(self, result: Answer | Failure) -> Answer | Failure:
        """A refusal may quote what was sent; its reason goes into logs, headers and answers of commands."""
        if isinstance(result, Failure) or result.status < HTTPStatus.BAD_REQUEST or not result.body:
            return result
        known = KnownSecrets((*self._auth.secrets, *self._client.headers.values()))
        return replace(result, body=known.hide_bytes(result.body))

    async def _settled(self, exchange: Exchange) -> Exchange:
        """The exchange with the truth about Halo as a whole: what was sent and went wrong may be the fault of one endpoint, so a probe decides."""
        if not exchange.down:
            return exchange
        if exchange.fate is Fate.NOT_SENT:
            self._circuit.trip(exchange.reason)
            return exchange
        reason = self._circuit.reason or await self._confirm()
        if reason and exchange.fate is Fate.AUTH:  # no request of this client is let in: this one did not happen, and is not to blame
            exchange = replace(exchange, fate=Fate.NOT_SENT, reason=reason)
        return replace(exchange, down=bool(reason))

    async def _confirm(self) -> str:
        """Why Halo is down, empty when it is not: one probe for all that failed together."""
        if self._confirmation is None:
            self._confirmation = asyncio.create_task(self._probe(), name=f"probe of client {self.name}", context=Context())
            self._confirmation.add_done_callback(self._confirmed)
        reason = await asyncio.shield(self._confirmation)
        if reason and not self._circuit.broken:
            self._circuit.trip(reason)
        return reason

    def _confirmed(self, _: asyncio.Task[str]) -> None:
        self._confirmation = None

    async def _probe(self) -> str:
        """Why Halo cannot be used, empty when it can. A probe that could not be sent any more has not shown that it can."""
        exchange = await self._patiently(PROBE, FIRST, PROBE_TIMEOUT)
        return exchange.reason if exchange.down or exchange.fate is Fate.NOT_SENT else ""

    def _record(self, request: Request, exchange: Exchange) -> None:
        self._metrics.requests.labels(self.name, request.method, exchange.fate.value).inc()
        if exchange.duration:
            self._metrics.request_seconds.labels(self.name).observe(exchange.duration)
        log.debug(
            "request.done",
            client=self.name,
            method=request.method,
            path=request.path,
            status=exchange.status,
            fate=exchange.fate.value,
            ms=round(exchange.duration * 1000),
        )

    async def close(self) -> None:
        if self._confirmation is not None:
            self._confirmation.cancel()
            await asyncio.gather(self._confirmation, return_exceptions=True)


@asynccontextmanager
async def open_client(
    client: Client, budgets: Budgets, metrics: Metrics, health: Health, clock: Clock, *, reload: Callable[[], Grant] | None = None
) -> AsyncIterator[HaloClient]:
    """A client at work: its connections, its token, its probe. Returns at once; whether Halo can be used is told by `health` and `available`.

    `reload` reads the grant again after Halo refused its secret. Raises `ConfigError` when the CA file or a header cannot be used.
    """
    budget = budgets.of(client)
    metrics.budget_used.labels(client.name).set_function(lambda: budget.used)
    metrics.budget_waiting.labels(client.name).set_function(lambda: budget.waiting)
    async with open_transport(client) as send:
        auth = AuthManager(
            client.name,
            client.grant,
            finder(client, send, budget),
            send=send,
            timeout=client.timeout,
            budget=budget,
            metrics=metrics,
            clock=clock,
            reload=reload,
        )
        halo = HaloClient(client, send=send, auth=auth, budget=budget, circuit=Circuit(client.name, health, metrics), metrics=metrics, clock=clock)
        watching = asyncio.create_task(halo.watch(), name=f"watch of client {client.name}")
        try:
            yield halo
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await halo.close()
            await auth.close()
