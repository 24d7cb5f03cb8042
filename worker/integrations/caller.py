"""Calls methods of integrations: the port `Caller` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import structlog

from worker.config.automation import Integration, Method, Values
from worker.core.errors import CallRefused
from worker.core.exchange import Exchange, Gate
from worker.core.ports import Clock, Evaluator
from worker.halo.client import HaloClient
from worker.halo.patience import Patience
from worker.halo.transport import Call, Failure, gated
from worker.integrations.authorization import STOPPED_BEFORE_SENDING
from worker.integrations.connections import ApiConnection, ConnectionDeps, open_connection
from worker.integrations.request_builder import build_call
from worker.integrations.responses import to_exchange
from worker.metrics import Metrics

REFUSED_FATE = "refused"

log = structlog.get_logger()


class IntegrationCaller:
    """Implements `worker.config.automation.Caller`; made by `open_caller`."""

    def __init__(self, lines: Mapping[str, ApiConnection], patience: Patience, evaluator: Evaluator, metrics: Metrics, clock: Clock) -> None:
        self._lines = lines
        self._patience = patience
        self._evaluator = evaluator
        self._metrics = metrics
        self._clock = clock

    async def call(self, method: Method, values: Values, *, timeout: float | None = None, gate: Gate | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """One exchange, its `duration` with the wait for a token or the budget. Never tried again here but once, after a 401, with a new token."""
        line = self._lines[method.integration]
        started = self._clock.monotonic()
        try:
            call = await build_call(line.integration, method, values, self._evaluator, timeout)
            exchange = await self._exchange(line, method, call, gate)
        except CallRefused:
            self._record(line, method, REFUSED_FATE, None, started)
            raise
        self._record(line, method, exchange.fate.value, exchange.status, started)
        return replace(exchange, duration=self._clock.monotonic() - started)

    def secrets(self, integration: str) -> tuple[str | None, ...]:
        """What is sent to prove who we are, as of now: an answer may quote it."""
        return self._lines[integration].authorization.secrets

    def stop_waiting(self) -> None:
        """The worker stops: calls that wait for a token end as NOT_SENT, those under way are not disturbed. (Calls with a Halo client's token stop with the client.)"""
        self._patience.end()

    async def _exchange(self, line: ApiConnection, method: Method, call: Call, gate: Gate | None) -> Exchange:
        result = await line.authorization.send(call, gated(line.send, gate))
        if isinstance(result, Failure) and result.refused:
            raise CallRefused(f"{method.full_name}: {result.reason}")
        exchange = to_exchange(line.origin.authority, result)
        no_fault_of_the_call = result is STOPPED_BEFORE_SENDING or (isinstance(result, Failure) and result.barred)
        return replace(exchange, down=True) if no_fault_of_the_call else exchange  # so that it counts as no attempt

    def _record(self, line: ApiConnection, method: Method, fate: str, status: int | None, started: float) -> None:
        self._metrics.integration_requests.labels(method.integration, method.name, fate).inc()
        milliseconds = round((self._clock.monotonic() - started) * 1000)
        log.info("method.called", method=method.full_name, verb=method.verb, host=line.origin.authority, status=status, fate=fate, ms=milliseconds)


@asynccontextmanager
async def open_caller(
    integrations: Mapping[str, Integration], clients: Mapping[str, HaloClient], evaluator: Evaluator, metrics: Metrics, clock: Clock
) -> AsyncIterator[IntegrationCaller]:
    """A caller for these integrations; `clients` by name are those whose token `halo` integrations use. Connects to nothing yet.

    Raises `ConfigError` for an address or authorization that can never work.
    """
    patience = Patience()
    shared = ConnectionDeps(clients, patience, metrics, clock)
    async with AsyncExitStack() as stack:
        lines = {name: await stack.enter_async_context(open_connection(integration, shared)) for name, integration in integrations.items()}
        yield IntegrationCaller(lines, patience, evaluator, metrics, clock)
