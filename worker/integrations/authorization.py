"""The authorization of an integration's calls: fixed headers, a query parameter, or the token of an auth manager."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Protocol

from worker.config.automation import IntegrationAuth
from worker.core.exchange import Priority
from worker.halo.auth import AuthManager, Token
from worker.halo.budget import Budget
from worker.halo.grants import NoToken
from worker.halo.outcome import parse_date, retry_after
from worker.halo.patience import Patience
from worker.halo.transport import Answer, Call, Failure, Send

STOPPED_BEFORE_SENDING = Failure("the worker stopped before the request was sent", sent=False)


class Authorization(Protocol):
    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The credentials that it sends now."""
        ...

    async def send(self, call: Call, send: Send) -> Answer | Failure:
        """Send the call with the credentials."""
        ...


@dataclass(frozen=True, slots=True)
class FixedAuthorization:
    """Headers and query parameters for every call; they replace those that the method sets under the same name."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return (*self.headers.values(), *self.query.values())

    async def send(self, call: Call, send: Send) -> Answer | Failure:
        ours = {name.lower() for name in self.headers}
        headers = {name: value for name, value in call.headers.items() if name.lower() not in ours} | dict(self.headers)
        url = call.url.update_query(self.query) if self.query else call.url
        return await send(replace(call, url=url, headers=headers))


def fixed_authorization(auth: IntegrationAuth) -> FixedAuthorization:
    """For the kinds of `auth` that need no token endpoint."""
    match auth.type:
        case "basic":
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
    """A bearer token that is fetched, renewed, and replaced once after a 401. With a `budget`, each request waits for a slot, and a 429 pauses all requests."""

    def __init__(self, tokens: AuthManager, patience: Patience, budget: Budget | None = None) -> None:
        self._tokens = tokens
        self._patience = patience
        self._budget = budget

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return self._tokens.secrets

    async def send(self, call: Call, send: Send) -> Answer | Failure:
        try:
            async with self._patience.wait() as limit:
                token = await self._tokens.token()
                if isinstance(token, NoToken):
                    return Failure(token.reason, sent=False)
                result, used = await self._in_turn(call, send, token, limit)
                if isinstance(result, Failure) or result.status != HTTPStatus.UNAUTHORIZED:
                    return result
                fresh = await self._tokens.token(rejected=used.value)
                if isinstance(fresh, NoToken):
                    return Failure(fresh.reason, sent=False)
                result, _ = await self._in_turn(call, send, fresh, limit)
                return result
        except TimeoutError:
            return STOPPED_BEFORE_SENDING

    async def _in_turn(self, call: Call, send: Send, token: Token, limit: asyncio.Timeout) -> tuple[Answer | Failure, Token]:
        """One exchange, and the token that it used."""
        if self._budget is None:
            return await self._with_token(call, send, token, limit)
        async with self._budget.turn(Priority.RUNBOOK) as turn:
            result, used = await self._with_token(call, send, token, limit)
            turn.unused = isinstance(result, Failure) and not result.sent
            if isinstance(result, Answer) and result.status == HTTPStatus.TOO_MANY_REQUESTS:
                self._budget.throttled(turn.started, retry_after(result, parse_date(result.headers.get("date"))))
        return result, used

    async def _with_token(self, call: Call, send: Send, token: Token, limit: asyncio.Timeout) -> tuple[Answer | Failure, Token]:
        current = self._tokens.ready() or token  # it may have been renewed during the wait for a slot
        headers = {name: value for name, value in call.headers.items() if name.lower() != "authorization"}
        headers["Authorization"] = f"Bearer {current.value}"
        with self._patience.sending(limit):
            return await send(replace(call, headers=headers)), current
