"""The authorization of an integration's calls: fixed headers, a query parameter, or the token of an auth manager."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from worker.config.automation import IntegrationAuth
from worker.core.exchange import Priority
from worker.halo.auth import AuthManager
from worker.halo.budget import Budget, BudgetSlot
from worker.halo.grants import NoToken
from worker.halo.outcome import parse_date, retry_after
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.slot import STOPPED
from worker.halo.transport import Answer, Call, Failure


@dataclass(slots=True, eq=False)
class AuthorizedCall:
    """A call with its credentials, ready to send. `token`: its token, if a new one can replace it; `budget_slot`: its place under a rate limit."""

    call: Call
    token: str = field(default="", repr=False)
    budget_slot: BudgetSlot | None = None


class Authorization(Protocol):
    @property
    def secrets(self) -> tuple[str | None, ...]:
        """Return the credentials that it sends now."""
        ...

    def reserve(self, call: Call, stale_token: str) -> AbstractAsyncContextManager[AuthorizedCall | Failure]:
        """Wait for the call's slot, and yield it with its credentials; a failure says why it cannot be sent. `stale_token`: the token that was refused."""
        ...

    def finish(self, authorized: AuthorizedCall, result: Answer | Failure) -> None:
        """Release the slot, and apply what the answer says about the rate limit."""
        ...


@dataclass(frozen=True, slots=True)
class FixedAuthorization:
    """Headers and query parameters for every call; they replace the method's own of the same name."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return (*self.headers.values(), *self.query.values())

    def added_to(self, call: Call) -> Call:
        ours = {name.lower() for name in self.headers}
        headers = {name: value for name, value in call.headers.items() if name.lower() not in ours} | dict(self.headers)
        url = call.url.update_query(self.query) if self.query else call.url
        return replace(call, url=url, headers=headers)

    @asynccontextmanager
    async def reserve(self, call: Call, stale_token: str) -> AsyncIterator[AuthorizedCall | Failure]:  # noqa: ARG002 - there is no other
        yield AuthorizedCall(self.added_to(call))

    def finish(self, authorized: AuthorizedCall, result: Answer | Failure) -> None:
        """Do nothing: the worker has no rate limit here."""


def fixed_authorization(auth: IntegrationAuth) -> FixedAuthorization:
    """Return the authorization for the kinds of `auth` that need no token endpoint."""
    match auth.type:
        case "basic" | "login" if auth.username is not None:
            credentials = base64.b64encode(f"{auth.username or ''}:{auth.password or ''}".encode()).decode()
            return FixedAuthorization({"Authorization": f"Basic {credentials}"})
        case "bearer":
            return FixedAuthorization({"Authorization": f"Bearer {auth.token or ''}"})
        case "api_key" if auth.place == "query":
            return FixedAuthorization(query={auth.name or "": auth.value or ""})
        case "api_key":
            return FixedAuthorization({auth.name or "": auth.value or ""})
        case _:
            return FixedAuthorization()


class TokenAuthorization:
    """A token that the worker fetches and renews. With a `budget` each request waits for its slot, and a 429 delays all callers."""

    def __init__(
        self, tokens: AuthManager, shutdown: ShutdownGate, budget: Budget | None = None, *, header: str = "Authorization", prefix: str = "Bearer "
    ) -> None:
        self._header = header
        self._prefix = prefix
        self._tokens = tokens
        self._shutdown = shutdown
        self._budget = budget

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return self._tokens.secrets

    async def first_token(self) -> NoToken | None:
        """Fetch a token if there is none yet; return why there is none."""
        token = await self._tokens.token()
        return token if isinstance(token, NoToken) else None

    @asynccontextmanager
    async def reserve(self, call: Call, stale_token: str) -> AsyncIterator[AuthorizedCall | Failure]:
        authorized = AuthorizedCall(call)
        try:
            yield await self._acquire(authorized, stale_token) or authorized
        finally:
            self._release(authorized)

    async def _acquire(self, authorized: AuthorizedCall, stale_token: str) -> Failure | None:
        try:
            async with self._shutdown.wait():
                token = await self._tokens.token(rejected=stale_token or None)
                if isinstance(token, NoToken):
                    return Failure(token.reason, sent=False)
                if self._budget is not None:
                    authorized.budget_slot = await self._budget.acquire(Priority.RUNBOOK)
        except TimeoutError:
            self._release(authorized)
            return Failure(STOPPED, sent=False, withheld=True)
        current = self._tokens.ready() or token  # another call may have renewed it during the wait for the budget
        headers = {name: value for name, value in authorized.call.headers.items() if name.lower() != self._header.lower()}
        authorized.call = replace(authorized.call, headers=headers | {self._header: f"{self._prefix}{current.value}"})
        authorized.token = current.value
        return None

    def finish(self, authorized: AuthorizedCall, result: Answer | Failure) -> None:
        if self._budget is None or authorized.budget_slot is None:
            return
        budget_slot = authorized.budget_slot
        budget_slot.unused = isinstance(result, Failure) and not result.sent
        self._release(authorized)
        if isinstance(result, Answer) and result.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._budget.throttled(budget_slot.started, retry_after(result, parse_date(result.headers.get("date"))))

    def _release(self, authorized: AuthorizedCall) -> None:
        if self._budget is not None and authorized.budget_slot is not None:
            self._budget.release(authorized.budget_slot)
            authorized.budget_slot = None
