"""A slot: the token, the place in the budget and the HTTP call of one request to Halo, reserved before it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

import structlog
from yarl import URL

from worker.config.routes import Client
from worker.core.errors import Undecodable
from worker.core.exact_numbers import may_have_fractions
from worker.core.exchange import Exchange, Request, RequestResult
from worker.core.json_codec import encode_draft
from worker.core.known_secrets import KnownSecrets
from worker.core.ports import Clock
from worker.core.spans import Value, span
from worker.halo.auth import AuthManager, BearerToken
from worker.halo.budget import Budget, BudgetSlot
from worker.halo.forms import encode_form
from worker.halo.grants import NoToken
from worker.halo.outcome import classify
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.transport import Answer, Call, Failure, Send
from worker.threads import finish_draft_in_thread, in_thread
from worker.waits import waiting_for

STOPPED = "the worker stopped before the request was sent"
CORRELATION_LIMIT = 128
PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[!$-.0-;=@-Z_a-z~]*)+")  # encoded segments, none of them "." or ".."; no query


@dataclass(frozen=True, slots=True, eq=False)
class SharedAccess:
    """Token, budget and shutdown gate of one client, for callers that send their own requests."""

    client: Client
    auth: AuthManager
    budget: Budget
    shutdown: ShutdownGate


@dataclass(frozen=True, slots=True, eq=False)
class Reservations:
    """Makes the slots of one client. `api`: the base address of its requests."""

    access: SharedAccess
    api: str
    send: Send
    clock: Clock

    def reserve(self, request: Request, priority: int, seconds: float | None, *, after: Exchange | None) -> HaloSlot:
        """A slot to enter. `seconds`: timeout of the exchange; None: the client's own. `after`: the exchange whose token Halo refused."""
        return HaloSlot(self, request, priority, seconds, "" if after is None else after.stale_token)


class HaloSlot:
    """Implements `worker.core.ports.Slot`. It holds its budget slot from entry until it is sent or left."""

    def __init__(self, source: Reservations, request: Request, priority: int, seconds: float | None, stale_token: str) -> None:
        self.request = request
        self._source = source
        self._priority = priority
        self._seconds = seconds
        self._stale_token = stale_token
        self._token: BearerToken | None = None
        self._budget_slot: BudgetSlot | None = None
        self._call: Call | None = None

    async def __aenter__(self) -> HaloSlot | Exchange:
        """Wait for a token and a budget slot. A returned exchange says why nothing can be sent."""
        entered = False
        try:
            refused = await self.acquire()
            entered = True
        finally:
            if not entered:
                self.release()
        return refused or self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    async def acquire(self) -> Exchange | None:
        """Take a token and a budget slot, and build the call. Return None, or an exchange with the reason why that failed."""
        access, stale = self._source.access, self._stale_token or None
        self._token = access.auth.token_now(stale)
        self._budget_slot = None if self._token is None else access.budget.acquire_now(self._priority)
        if self._budget_slot is None and (refused := await self._wait(access, stale)) is not None:
            return refused
        return await self._prepare()

    async def _wait(self, access: SharedAccess, stale: str | None) -> Exchange | None:
        try:
            async with access.shutdown.wait():
                with waiting_for("token", f"a token for client {access.client.name}"):
                    token = await access.auth.token(rejected=stale)
                if isinstance(token, NoToken):
                    return Exchange(RequestResult.NOT_SENT, reason=token.reason, down=True)
                with waiting_for("budget", f"the request budget of client {access.client.name}"):
                    self._budget_slot = await access.budget.acquire(self._priority)
        except TimeoutError:
            self.release()
            return Exchange(RequestResult.NOT_SENT, reason=STOPPED)
        self._token = access.auth.ready() or token  # the token may have been renewed during the wait for the budget
        return None

    async def _prepare(self) -> Exchange | None:
        if self._token is None:
            raise RuntimeError("a turn is only taken with a token")
        try:
            self._call = await build_http_call(self.request, self._source.api, self._token.value, self._seconds)
        except Undecodable as error:
            self.release()
            return Exchange(RequestResult.REJECTED, reason=f"not sent: {error}")
        return None

    def release(self) -> None:
        """Return the slot to the budget. A sent request keeps its place in the budget's window."""
        if self._budget_slot is not None:
            self._source.access.budget.release(self._budget_slot)
            self._budget_slot = None

    async def send(self, until: float | None = None) -> Exchange:
        exchange, interrupted = await self._send(until)
        if interrupted and self.request.method == "GET":  # the connection broke before the answer: a second read is harmless
            refused = await self.acquire()
            exchange = refused if refused is not None else (await self._send(until))[0]
        if exchange.status == HTTPStatus.UNAUTHORIZED and not self._stale_token and self._token is not None:
            exchange = replace(exchange, stale_token=self._token.value)
        return exchange

    async def _send(self, until: float | None) -> tuple[Exchange, bool]:
        """One exchange, and whether the connection broke before the answer began."""
        budget_slot, call, budget = self._budget_slot, self._call, self._source.access.budget
        if budget_slot is None or call is None:
            raise RuntimeError("a slot is sent once, within its reservation")
        budget_slot.unused = False  # a cancelled request may have left
        with span(f"{self.request.method} {entity_of(self.request.path)}", "client", span_attributes(self.request, self._source.access.client.name)) as traced:
            result = self._without_our_secrets(await self._source.send(call if until is None else replace(call, not_after=until)))
            large = isinstance(result, Answer) and result.is_large
            seconds = self._source.clock.monotonic() - budget_slot.started
            exchange = await in_thread(partial(classify, result, seconds)) if large else classify(result, seconds)
            traced.set({"http.response.status_code": exchange.status})
            if not exchange.ok:
                traced.fail(exchange.result.value)
        budget_slot.unused = exchange.result is RequestResult.NOT_SENT or (isinstance(result, Answer) and result.local)
        self.release()
        if exchange.result is RequestResult.THROTTLED:
            exchange = replace(exchange, retry_after=budget.throttled(budget_slot.started, exchange.retry_after))
        return exchange, isinstance(result, Failure) and result.interrupted

    def _without_our_secrets(self, result: Answer | Failure) -> Answer | Failure:
        """The result with known secrets masked: a refusal may quote the request, and its reason goes into logs, headers and answers of commands."""
        if isinstance(result, Failure) or result.status < HTTPStatus.BAD_REQUEST or not result.body:
            return result
        access = self._source.access
        known = KnownSecrets((*access.auth.secrets, *access.client.headers.values()))
        return replace(result, body=known.hide_bytes(result.body))


def entity_of(path: str) -> str:
    """The first segment of a path; the other segments may be ids and codes."""
    return path.split("/", 2)[1]


def span_attributes(request: Request, client: str) -> Mapping[str, Value]:
    """The attributes of a request's span. The trace ends here: Halo does not pass a trace context on, and it does not belong in a tenant's log."""
    return {"http.request.method": request.method, "halo.client": client, "halo.entity": entity_of(request.path)}


async def build_http_call(request: Request, api: str, token: str, seconds: float | None) -> Call:
    """Build the HTTP call of a request. Raises `Undecodable` when the path or the payload cannot be sent as they are."""
    if not PATH.fullmatch(request.path):
        raise Undecodable("the path is not encoded, or leads out of the API")
    headers = {"Authorization": f"Bearer {token}"}
    correlation = structlog.contextvars.get_contextvars().get("correlation_id")
    if isinstance(correlation, str) and correlation.isascii() and correlation.isprintable():
        headers["X-Correlation-Id"] = correlation[:CORRELATION_LIMIT]
    data = None
    if request.form:
        data, headers["Content-Type"] = await encode_form(request.body)
    elif request.body is not None:
        headers["Content-Type"] = "application/json"
        data = encode_draft(request.body)
        if may_have_fractions(data):
            data = await finish_draft_in_thread(data)
    url = URL(api + request.path, encoded=True)
    return Call(request.method, url.with_query(request.query) if request.query else url, headers, data, seconds)
