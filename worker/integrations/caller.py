"""Calls methods of integrations: implements the port `Caller` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

import structlog
from yarl import URL

from worker.config.automation import Integration, Method
from worker.config.run_values import Values
from worker.core.errors import CallRefused, ConfigError
from worker.core.exchange import Exchange, RequestResult
from worker.core.known_secrets import KnownSecrets
from worker.core.ports import Clock, Evaluator, Slot
from worker.core.sending import send_reserved
from worker.core.spans import span, trace_context
from worker.halo.client import HaloClient
from worker.halo.grants import NoToken
from worker.halo.interception import Intercept, no_interception
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.transport import Answer, Call, Failure
from worker.integrations.authorization import Authorization, AuthorizedCall, TokenAuthorization
from worker.integrations.connections import ApiConnection, ConnectionDeps
from worker.integrations.customers import customer_of
from worker.integrations.pages import PageCollector
from worker.integrations.pool import ConnectionPool, open_pool
from worker.integrations.request_builder import build_call
from worker.integrations.responses import to_exchange
from worker.metrics import Metrics
from worker.threads import in_thread

REFUSED_FATE = "refused"

log = structlog.get_logger()


class IntegrationCaller:
    """Implements `worker.config.automation.Caller`; created by `open_caller`."""

    def __init__(self, pool: ConnectionPool, shutdown: ShutdownGate, evaluator: Evaluator, metrics: Metrics, clock: Clock) -> None:
        self._pool = pool
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
        """Reserve a call like `HaloClient.reserve`: it builds the call before it waits. The customer depends only on the values of the run."""
        customer = await customer_of(self._pool[method.integration], method, values, self._evaluator)
        async with AsyncExitStack() as stack:
            try:
                lease = await stack.enter_async_context(self._pool.lease(customer))
            except ConfigError as error:  # of one customer; errors of other integrations appear at the start
                problems = "; ".join(problem.message for problem in error.problems)
                yield Exchange(RequestResult.NOT_SENT, reason=f"not sent: {problems}")
                return
            if lease.slots is not None and (refused := await stack.enter_async_context(lease.slots.reserve(customer))) is not None:
                yield refused
                return
            yield await stack.enter_async_context(self._reserved(lease.connection, customer.own(method), values, timeout, after))

    @asynccontextmanager
    async def _reserved(
        self,
        connection: ApiConnection,
        method: Method,
        values: Values,
        timeout: float | None,  # noqa: ASYNC109 - part of the request
        after: Exchange | None,
    ) -> AsyncIterator[Slot | Exchange]:
        started = self._clock.monotonic()
        try:
            call = await build_call(connection.integration, method, values, self._evaluator, timeout)
        except CallRefused:
            self._record(connection, method, REFUSED_FATE, None, started)
            raise
        stale_token = "" if after is None else after.stale_token
        authorization = connection.authorization_of(method)
        async with authorization.reserve(call, stale_token) as authorized:
            if isinstance(authorized, Failure):
                yield await self.answered(connection, method, authorized, started)
            else:
                yield IntegrationSlot(self, connection, authorization, method, authorized, started, renewable=not stale_token)

    async def call(self, method: Method, values: Values, *, timeout: float | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """Send one call; `duration` includes the wait for a token or the rate limit. It is sent again only after a 401, once, with a new token."""
        return await send_reserved(partial(self.reserve, method, values, timeout=timeout))

    def secrets(self, integration: str) -> tuple[str | None, ...]:
        """Return the credentials that calls send now; a response may quote them."""
        return self._pool.connection(integration).authorization.secrets

    async def replace(self, integrations: Mapping[str, Integration]) -> None:
        """Call these integrations from now on. Calls in flight keep their connection; an unchanged connection keeps its token."""
        await self._pool.replace(integrations)

    def stop_waiting(self) -> None:
        """Stop waiting: calls that wait for a token end as NOT_SENT, calls in flight continue. (Calls with a Halo client's token stop with the client.)"""
        self._shutdown.close()

    async def first_token(self, integration: str) -> NoToken | None:
        """Fetch the token of an integration, if its `auth` fetches one; return why there is none."""
        authorization = self._pool.connection(integration).authorization
        return await authorization.first_token() if isinstance(authorization, TokenAuthorization) else None

    def remaining(self, method: Method, authorized: AuthorizedCall, started: float) -> float:
        """Return the seconds left for the further pages of a call."""
        return (authorized.call.timeout or method.timeout) - (self._clock.monotonic() - started)

    async def answered(self, connection: ApiConnection, method: Method, result: Answer | Failure, started: float, token: str = "") -> Exchange:
        """Return the exchange of a result. `token`: the sent token, if another can replace it. Raises `CallRefused`."""
        if isinstance(result, Failure) and result.refused:
            self._record(connection, method, REFUSED_FATE, None, started)
            raise CallRefused(f"{method.full_name}: {connection.of_customer(result.reason)}")
        if token and isinstance(result, Answer) and result.status == HTTPStatus.UNAUTHORIZED:
            return Exchange(RequestResult.AUTH, result.status, stale_token=token)
        read = partial(to_exchange, connection.peer, result, method.response_kind)
        exchange = await in_thread(read) if isinstance(result, Answer) and result.is_large else read()
        if isinstance(result, Failure):
            exchange = replace(exchange, reason=connection.of_customer(exchange.reason), down=result.withheld)  # withheld: no attempt, no fault of the call
        self._record(connection, method, exchange.result.value, exchange.status, started)
        return replace(exchange, duration=self._clock.monotonic() - started)

    def _record(self, connection: ApiConnection, method: Method, fate: str, status: int | None, started: float) -> None:
        self._metrics.integration_requests.labels(method.integration, method.name, fate).inc()
        milliseconds = round((self._clock.monotonic() - started) * 1000)
        customer = {"customer": connection.integration.customer} if connection.integration.customer else {}
        host = connection.origin.authority
        log.info("method.called", method=method.full_name, verb=method.verb, host=host, status=status, fate=fate, ms=milliseconds, **customer)


@dataclass(frozen=True, slots=True)
class IntegrationSlot:
    """Implements `worker.core.ports.Slot`. `renewable`: a refused token may be replaced."""

    caller: IntegrationCaller
    connection: ApiConnection
    authorization: Authorization
    method: Method
    authorized: AuthorizedCall
    started: float
    renewable: bool

    async def send(self, until: float | None = None) -> Exchange:
        """Send the call, and return the exchange. Raises `CallRefused`."""
        if self.authorized.budget_slot is not None:
            self.authorized.budget_slot.unused = False  # a cancelled request may have been sent
        pages = self.method.pages
        if pages is None:
            return (await self._exchange(replace(self.authorized.call, not_after=until), self.authorized))[0]
        collector = PageCollector(pages, URL(self.connection.integration.base_url))
        return await self._all_pages(collector, collector.begin(replace(self.authorized.call, not_after=until)))

    async def _exchange(self, call: Call, authorized: AuthorizedCall) -> tuple[Exchange, Answer | Failure]:
        method, integration = self.method, self.connection.integration
        about = {"http.request.method": call.method, "halo.integration": integration.name, "halo.method": method.name}
        with span(f"{call.method} {method.full_name}", "client", about) as traced:
            sent = replace(call, headers={**call.headers, **trace_context()}) if integration.trace_context else call
            result = without_secrets(await self.connection.send(sent), self.connection, authorized.token)
            if isinstance(result, Answer):
                traced.set({"http.response.status_code": result.status})
            if isinstance(result, Failure) or result.status >= HTTPStatus.BAD_REQUEST:
                traced.fail("no_answer" if isinstance(result, Failure) else str(result.status))
        self.authorization.finish(authorized, result)
        return await self.caller.answered(self.connection, self.method, result, self.started, authorized.token if self.renewable else ""), result

    async def _all_pages(self, collector: PageCollector, first: Call) -> Exchange:
        """Return one exchange with the items of all pages, or the failed exchange. Each further page waits for its own slot."""
        call: Call | None = first
        exchange, result = await self._exchange(first, self.authorized)
        while call is not None:
            if exchange.result is not RequestResult.DONE or not isinstance(result, Answer):
                return exchange
            if problem := collector.add(call, exchange, result):
                return replace(exchange, result=RequestResult.REJECTED, body=None, reason=f"{self.connection.peer}: {problem}")
            try:
                call = collector.following(call, exchange)
            except CallRefused as error:
                raise CallRefused(f"{self.method.full_name}: {error}") from None
            if call is not None:
                exchange, result = await self._further(call)
        return replace(collector.merged(), duration=exchange.duration)

    async def _further(self, call: Call) -> tuple[Exchange, Answer | Failure]:
        left = self.caller.remaining(self.method, self.authorized, self.started)
        late = Failure("its pages were not complete in time: raise `timeout` of the method", sent=True)
        if left <= 0:
            return await self.caller.answered(self.connection, self.method, late, self.started), late
        async with self.authorization.reserve(replace(call, timeout=left), "") as authorized:
            if isinstance(authorized, Failure):
                return await self.caller.answered(self.connection, self.method, authorized, self.started), authorized
            if authorized.budget_slot is not None:
                authorized.budget_slot.unused = False
            return await self._exchange(authorized.call, authorized)


def without_secrets(result: Answer | Failure, connection: ApiConnection, token: str) -> Answer | Failure:
    """Remove secrets from a result: a refusal may quote the sent credentials, and any answer the token of a login. No message may hold them.

    `token`: the sent token, which may be renewed by now.
    """
    if isinstance(result, Failure) or (result.status < HTTPStatus.BAD_REQUEST and connection.integration.auth.type != "login"):
        return result
    known = KnownSecrets((*connection.authorization.secrets, token))
    headers = {name: known.hide(value) for name, value in result.headers.items()}
    cookies = {name: known.hide(value) for name, value in result.cookies.items()}
    return replace(result, headers=headers, cookies=cookies, body=known.hide_bytes(result.body) if result.body else result.body)


@asynccontextmanager
async def open_caller(
    integrations: Mapping[str, Integration],
    clients: Mapping[str, HaloClient],
    evaluator: Evaluator,
    metrics: Metrics,
    clock: Clock,
    *,
    intercept: Intercept = no_interception,
) -> AsyncIterator[IntegrationCaller]:
    """Open a caller for these integrations. `clients`: by name, for `halo` integrations, which use a client's token. Opens no connection yet.

    `intercept` wraps the transport of all calls.

    Raises `ConfigError` for an invalid address or authorization.
    """
    shutdown = ShutdownGate()
    async with open_pool(integrations, ConnectionDeps(clients, shutdown, evaluator, metrics, clock), intercept) as pool:
        yield IntegrationCaller(pool, shutdown, evaluator, metrics, clock)
