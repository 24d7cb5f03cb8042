"""The source of an auth manager's tokens: a token endpoint, with an OAuth grant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

import structlog

from worker.config.routes import Grant
from worker.core.errors import ConfigError
from worker.core.ports import Clock
from worker.halo.addresses import FindAddress, TokenAddress
from worker.halo.budget import FIRST, Budget
from worker.halo.client_proof import ProofUnavailable, prove_client
from worker.halo.grants import IssuedToken, NoToken, TokenErrorKind, form, read_answer
from worker.halo.transport import Answer, Call, Failure, Send
from worker.metrics import Metrics

log = structlog.get_logger()


class TokenSource(Protocol):
    """Asks for one token at a time."""

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The credentials that it sends."""
        ...

    async def obtain(self) -> IssuedToken | NoToken: ...

    def forget_session(self) -> None:
        """After a rejected token: ask with the credentials themselves next time, and not with the refresh token that came with it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TokenEndpoint:
    """Sends requests to a token endpoint. `name`: for logs and metrics. `timeout`: seconds for one request."""

    name: str
    find_address: FindAddress
    send: Send
    timeout: float
    budget: Budget
    metrics: Metrics
    clock: Clock

    async def ask(self, address: TokenAddress, grant: Grant, refresh: str | None = None) -> IssuedToken | NoToken:
        try:
            headers, proof = prove_client(grant, address.url, self.clock.now())
        except ProofUnavailable as error:
            return NoToken(f"no token: {error}", TokenErrorKind.UNUSABLE)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.budget.reserve(FIRST) as slot:
            data = urlencode(form(grant, refresh) | proof).encode()
            answer: Answer | Failure = await self.send(Call("POST", address.url, headers, data, self.timeout))
            slot.unused = isinstance(answer, Failure) and not answer.sent
        result = read_answer(answer, grant, address.place)
        self.metrics.tokens.labels(self.name, result.kind.value if isinstance(result, NoToken) else "ok").inc()
        return result


class GrantSource:
    """Implements `TokenSource`. `reload` reads the grant again after its secret was refused."""

    def __init__(self, grant: Grant, endpoint: TokenEndpoint, reload: Callable[[], Grant] | None = None) -> None:
        self._grant = grant
        self._endpoint = endpoint
        self._reload = reload
        self._address: TokenAddress | None = None
        self._refresh: str | None = None

    @property
    def secrets(self) -> tuple[str | None, ...]:
        return (self._grant.client_secret, self._grant.password, self._refresh, *self._grant.secret_parameters)

    def forget_session(self) -> None:
        self._refresh = None

    async def obtain(self) -> IssuedToken | NoToken:
        """Make one token call; a second one only when the first shows that the refresh token or the secret is out of date."""
        result = await self._obtain()
        if isinstance(result, IssuedToken):
            self._refresh = result.refresh or self._refresh
            missing = frozenset(self._grant.scopes) - result.scopes if result.scopes is not None else frozenset()
            if missing:
                log.warning("token.scopes_narrowed", client=self._endpoint.name, missing=sorted(missing))
        return result

    async def _obtain(self) -> IssuedToken | NoToken:
        if self._address is None:
            found = await self._endpoint.find_address()
            if isinstance(found, NoToken):
                return found
            self._address = found
        if self._refresh is not None:
            refreshed = await self._endpoint.ask(self._address, self._grant, self._refresh)
            if isinstance(refreshed, IssuedToken) or refreshed.kind is TokenErrorKind.UNREACHABLE:
                return refreshed
            self._refresh = None
        result = await self._endpoint.ask(self._address, self._grant)
        if isinstance(result, NoToken) and result.code in {"invalid_client", "invalid_grant"} and self._reloaded():
            return await self._endpoint.ask(self._address, self._grant)
        return result

    def _reloaded(self) -> bool:
        """Read the grant again, and return whether it has changed."""
        try:
            grant = self._reload() if self._reload else self._grant
        except ConfigError:
            return False
        changed = grant != self._grant
        self._grant = grant
        return changed
