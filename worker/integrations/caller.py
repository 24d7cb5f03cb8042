"""Calls methods of integrations: implements the port `Caller` over HTTP."""

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
    """Implements `worker.config.automation.Caller`; created by `open_caller`."""

    def __init__(self, connections: Mapping[str, ApiConnection], patience: Patience, evaluator: Evaluator, metrics: Metrics, clock: Clock) -> None:
        self._connections = connections
        self._patience = patience
        self._evaluator = evaluator
        self._metrics = metrics
        self._clock = clock

    async def call(self, method: Method, values: Values, *, timeout: float | None = None, gate: Gate | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """One exchange; its `duration` includes the wait for a token or a slot. The only retry is one with a new token after a 401."""
        connection = self._connections[method.integration]
        started = self._clock.monotonic()
        try:
            call = await build_call(connection.integration, method, values, self._evaluator, timeout)
            exchange = await self._exchange(connection, method, call, gate)
        except CallRefused:
            self._record(connection, method, REFUSED_FATE, None, started)
            raise
        self._record(connection, method, exchange.fate.value, exchange.status, started)
        return replace(exchange, duration=self._clock.monotonic() - started)

    def secrets(self, integration: str) -> tuple[str | None, ...]:
        """The credentials that are sent now; a response may quote them."""
        return self._connections[integration].authorization.secrets

    def stop_waiting(self) -> None:
        """For shutdown: calls that wait for a token end as NOT_SENT; calls in flight continue. (Calls with a Halo client's token stop with that client.)"""
        self._patience.end()

    async def _exchange(self, connection: ApiConnection, method: Method, call: Call, gate: Gate | None) -> Exchange:
        result = await connection.authorization.send(call, gated(connection.send, gate))
        if isinstance(result, Failure) and result.refused:
            raise CallRefused(f"{method.full_name}: {result.reason}")
        exchange = to_exchange(connection.origin.authority, result)
        no_fault_of_the_call = result is STOPPED_BEFORE_SENDING or (isinstance(result, Failure) and result.barred)
        return replace(exchange, down=True) if no_fault_of_the_call else exchange  # so that it does not count as an attempt

    def _record(self, connection: ApiConnection, method: Method, fate: str, status: int | None, started: float) -> None:
        self._metrics.integration_requests.labels(method.integration, method.name, fate).inc()
        milliseconds = round((self._clock.monotonic() - started) * 1000)
        log.info("method.called", method=method.full_name, verb=method.verb, host=connection.origin.authority, status=status, fate=fate, ms=milliseconds)


@asynccontextmanager
async def open_caller(
    integrations: Mapping[str, Integration], clients: Mapping[str, HaloClient], evaluator: Evaluator, metrics: Metrics, clock: Clock
) -> AsyncIterator[IntegrationCaller]:
    """A caller for these integrations. `clients`: by name, for `halo` integrations, which use a client's token. Opens no connection yet.

    Raises `ConfigError` for an invalid address or authorization.
    """
    patience = Patience()
    shared = ConnectionDeps(clients, patience, metrics, clock)
    async with AsyncExitStack() as stack:
        connections = {name: await stack.enter_async_context(open_connection(integration, shared)) for name, integration in integrations.items()}
        yield IntegrationCaller(connections, patience, evaluator, metrics, clock)
