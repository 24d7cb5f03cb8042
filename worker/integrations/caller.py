"""Calls methods of integrations: the port `Caller` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus

import structlog

from worker.config.automation import Integration, Method, Values
from worker.core.errors import CallRefused
from worker.core.exchange import Exchange, Fate
from worker.core.ports import Clock, Evaluator, Slot
from worker.halo.client import HaloClient
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.transport import Answer, Failure
from worker.integrations.authorization import Authorized
from worker.integrations.connections import ApiConnection, ConnectionDeps, open_connection
from worker.integrations.request_builder import build_call
from worker.integrations.responses import to_exchange
from worker.metrics import Metrics

REFUSED_FATE = "refused"

log = structlog.get_logger()


class IntegrationCaller:
    """Implements `worker.config.automation.Caller`; made by `open_caller`."""

    def __init__(self, lines: Mapping[str, ApiConnection], shutdown: ShutdownGate, evaluator: Evaluator, metrics: Metrics, clock: Clock) -> None:
        self._lines = lines
        self._shutdown = shutdown
        self._evaluator = evaluator
        self._metrics = metrics
        self._clock = clock

    @asynccontextmanager
    async def reserve(
        self,
        method: Method,
        values: Values,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - part of the request
        after: Exchange | None = None,
    ) -> AsyncIterator[Slot | Exchange]:
        """As `HaloClient.reserve`: the call is built before anything is waited for."""
        line, started = self._lines[method.integration], self._clock.monotonic()
        try:
            call = await build_call(line.integration, method, values, self._evaluator, timeout)
        except CallRefused:
            self._record(line, method, REFUSED_FATE, None, started)
            raise
        stale_token = "" if after is None else after.stale_token
        async with line.authorization.reserve(call, stale_token) as authorized:
            if isinstance(authorized, Failure):
                yield self.answered(line, method, authorized, started)
            else:
                yield IntegrationSlot(self, line, method, authorized, started, renewable=not stale_token)

    async def call(self, method: Method, values: Values, *, timeout: float | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """One exchange, its `duration` with the wait for a token or the budget. It is sent again only after a 401, once, with a new token."""
        exchange: Exchange | None = None
        while exchange is None or exchange.stale_token:
            async with self.reserve(method, values, timeout=timeout, after=exchange) as slot:
                exchange = slot if isinstance(slot, Exchange) else await slot.send()
        return exchange

    def secrets(self, integration: str) -> tuple[str | None, ...]:
        """What is sent to prove who we are, as of now: an answer may quote it."""
        return self._lines[integration].authorization.secrets

    def stop_waiting(self) -> None:
        """The worker stops: calls that wait for a token end as NOT_SENT, those under way are not disturbed. (Calls with a Halo client's token stop with the client.)"""
        self._shutdown.close()

    def answered(self, line: ApiConnection, method: Method, result: Answer | Failure, started: float, token: str = "") -> Exchange:
        """The exchange of a result. `token`: the one that was sent, where another can replace it. Raises `CallRefused`."""
        if isinstance(result, Failure) and result.refused:
            self._record(line, method, REFUSED_FATE, None, started)
            raise CallRefused(f"{method.full_name}: {result.reason}")
        if token and isinstance(result, Answer) and result.status == HTTPStatus.UNAUTHORIZED:
            return Exchange(Fate.AUTH, result.status, stale_token=token)
        exchange = to_exchange(line.origin.authority, result)
        if isinstance(result, Failure) and result.barred:  # no fault of the call: it counts as no attempt
            exchange = replace(exchange, down=True)
        self._record(line, method, exchange.fate.value, exchange.status, started)
        return replace(exchange, duration=self._clock.monotonic() - started)

    def _record(self, line: ApiConnection, method: Method, fate: str, status: int | None, started: float) -> None:
        self._metrics.integration_requests.labels(method.integration, method.name, fate).inc()
        milliseconds = round((self._clock.monotonic() - started) * 1000)
        log.info("method.called", method=method.full_name, verb=method.verb, host=line.origin.authority, status=status, fate=fate, ms=milliseconds)


@dataclass(frozen=True, slots=True)
class IntegrationSlot:
    """Implements `worker.core.ports.Slot`. `renewable`: a refused token may be replaced."""

    caller: IntegrationCaller
    line: ApiConnection
    method: Method
    authorized: Authorized
    started: float
    renewable: bool

    async def send(self, until: float | None = None) -> Exchange:
        """Raises `CallRefused`."""
        if self.authorized.turn is not None:
            self.authorized.turn.unused = False  # a cancelled request may have left
        result = await self.line.send(replace(self.authorized.call, not_after=until))
        self.line.authorization.answered(self.authorized, result)
        return self.caller.answered(self.line, self.method, result, self.started, self.authorized.token if self.renewable else "")


@asynccontextmanager
async def open_caller(
    integrations: Mapping[str, Integration], clients: Mapping[str, HaloClient], evaluator: Evaluator, metrics: Metrics, clock: Clock
) -> AsyncIterator[IntegrationCaller]:
    """A caller for these integrations; `clients` by name are those whose token `halo` integrations use. Connects to nothing yet.

    Raises `ConfigError` for an address or authorization that can never work.
    """
    shutdown = ShutdownGate()
    shared = ConnectionDeps(clients, shutdown, metrics, clock)
    async with AsyncExitStack() as stack:
        lines = {name: await stack.enter_async_context(open_connection(integration, shared)) for name, integration in integrations.items()}
        yield IntegrationCaller(lines, shutdown, evaluator, metrics, clock)
