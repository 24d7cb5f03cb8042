"""The auth manager: the only owner of a token, shared by all callers of the same API."""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, field
from math import isfinite

import structlog

from worker.core.entropy import uniform
from worker.core.ports import Clock
from worker.halo.grants import UNKNOWN_LIFE, IssuedToken, NoToken
from worker.halo.token_source import TokenSource

RENEW_AT = (0.72, 0.8)  # of its lifetime, at random, so that replicas that started together do not renew together
FLOOR_FIRST = 5.0
FLOOR_LIMIT = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class BearerToken:
    """`value` goes into the Authorization header; times are monotonic."""

    value: str = field(repr=False)
    renew_at: float
    expires_at: float


class Backoff:
    """The minimum time between two calls after an error or a rejection: 5 s, doubling to 60 s while they continue."""

    def __init__(self) -> None:
        self._next = FLOOR_FIRST
        self.until = float("-inf")

    def raise_from(self, now: float) -> None:
        if now > self.until + self._next:
            self._next = FLOOR_FIRST
        self.until = now + self._next
        self._next = min(self._next * 2, FLOOR_LIMIT)

    def lower(self) -> None:
        self._next, self.until = FLOOR_FIRST, float("-inf")


class AuthManager:
    """Holds one token at a time. One caller requests it, while the others wait for the answer.

    The manager renews a token in the background once most of its lifetime is over; callers use it meanwhile. After a call that gave no token, callers get the
    same answer without another call until the backoff ends. A rejected token is replaced at once, but not again within its own backoff: a Halo that
    rejects every token costs one call a minute. `name` is for logs.
    """

    def __init__(self, name: str, source: TokenSource, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._current: BearerToken | None = None
        self._last_failure: NoToken | None = None
        self._after_error = Backoff()
        self._after_rejection = Backoff()
        self._renewal: asyncio.Task[BearerToken | NoToken] | None = None

    def ready(self) -> BearerToken | None:
        """The current token, if it has not expired."""
        return self._current if self._current and self._clock.monotonic() < self._current.expires_at else None

    def token_now(self, rejected: str | None = None) -> BearerToken | None:
        """The current token, None without one or if it is `rejected`. It also starts the renewal in time."""
        current = self.ready()
        if current is None or current.value == rejected:
            return None
        if self._clock.monotonic() >= current.renew_at and self._renewal is None and self._recent_failure() is None:
            self._renewal = self._renewing(rejection=False)
        return current

    async def token(self, rejected: str | None = None) -> BearerToken | NoToken:
        """A token that is not `rejected`, or why there is none. A rejected token is replaced only while it is the current one."""
        if (token := self.token_now(rejected)) is not None:
            return token
        current, failure, renewal = self.ready(), self._recent_failure(), self._renewal
        if renewal is None:
            if failure is not None:
                return failure
            renewal = self._renewal = self._renewing(rejection=current is not None)
        return await asyncio.shield(renewal)

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The current secrets that authenticate the worker."""
        token = self._current.value if self._current else None
        return (*self._source.secrets, token)

    @property
    def retry_delay(self) -> float:
        """Seconds until another token call may be made."""
        return max(0.0, self._after_error.until - self._clock.monotonic())

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    def _recent_failure(self) -> NoToken | None:
        return self._last_failure if self._clock.monotonic() < self._after_error.until else None

    def _renewing(self, *, rejection: bool) -> asyncio.Task[BearerToken | NoToken]:
        # in a separate context: all callers share the token, so its log lines and requests belong to no message
        renewal = asyncio.create_task(self._renew(rejection=rejection), name=f"token of {self._name}", context=Context())
        renewal.add_done_callback(self._finished)
        return renewal

    def _finished(self, _: asyncio.Task[BearerToken | NoToken]) -> None:
        self._renewal = None

    async def _renew(self, *, rejection: bool) -> BearerToken | NoToken:
        if rejection:
            await self._await_floor()  # other callers use the token meanwhile: perhaps only one endpoint rejects it
            self._current = None
            self._source.forget_session()
        started = self._clock.monotonic()
        result = await self._source.obtain()
        if isinstance(result, NoToken):
            self._last_failure = result
            self._after_error.raise_from(self._clock.monotonic())
            log.warning("token.refused", client=self._name, trouble=result.kind.value, reason=result.reason, retry_in=round(self.retry_delay))
            return result
        self._last_failure = None
        self._after_error.lower()
        self._current = self._accept(result, started)
        return self._current

    async def _await_floor(self) -> None:
        wait = self._after_rejection.until - self._clock.monotonic()
        if wait > 0:
            log.warning("token.rejected", client=self._name, reason="Halo rejects tokens that it has just issued", retry_in=round(wait))
            await self._clock.sleep(wait)
        self._after_rejection.raise_from(self._clock.monotonic())

    def _accept(self, granted: IssuedToken, started: float) -> BearerToken:
        if granted.life is None:
            log.warning("token.life_unknown", client=self._name, assumed_seconds=UNKNOWN_LIFE)
        life = granted.life or UNKNOWN_LIFE
        log.info("token.refreshed", client=self._name, seconds=round(life) if isfinite(life) else None)
        return BearerToken(granted.value, started + life * uniform(*RENEW_AT), started + life)
