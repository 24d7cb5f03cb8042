"""Signs viewers of the status page in: the admin token arrives in a form that starts a session, or as a bearer token with each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import new

from worker.core.entropy import secret
from worker.core.ports import Clock
from worker.web.page.sign_in_limiter import MAX_TOKEN, SignInLimiter, constant_time_equal

COOKIE = "halo-worker-session"
LIFE = 8 * 3600  # seconds of a session: a shift


@dataclass(frozen=True, slots=True)
class Session:
    """`form_token`: required in each form; empty for a bearer token: no browser sends one automatically."""

    form_token: str = ""


class Sessions:
    """Sessions are signed, not stored: each replica with the same token accepts them, and a new token ends all of them. `token` None: no viewer may act."""

    def __init__(self, token: str | None, clock: Clock) -> None:
        self._now = clock.now
        self._token = token or ""
        self._key = new(self._token.encode(), b"halo-worker: sessions of the status page", sha256).digest()
        self._attempts = SignInLimiter(token, clock)

    @property
    def possible(self) -> bool:
        return bool(self._token)

    async def begin(self, given: str, peer: str) -> str | None:
        """Return the value of the cookie; None for a wrong token."""
        if not await self._attempts.fits(given, peer):
            return None
        text = f"{int(self._now()) + LIFE}.{secret(12).hex()}"
        return f"{text}.{self._mac('session', text)}"

    async def of(self, cookies: Mapping[str, str], authorization: str, peer: str) -> Session | None:
        """Return the session of a request; None without a session."""
        kind, _, given = authorization.partition(" ")
        if kind.lower() == "bearer" and self.possible:
            return Session() if await self._attempts.fits(given.strip(), peer) else None
        cookie = cookies.get(COOKIE, "")[:MAX_TOKEN]
        text, _, mac = cookie.rpartition(".")
        if not self.possible or not constant_time_equal(mac, self._mac("session", text)):
            return None
        until = text.partition(".")[0]
        return Session(self._mac("form", text)) if until.isdecimal() and int(until) > self._now() else None

    def fits(self, session: Session, form_token: str) -> bool:
        """Whether a form came from a page of this session."""
        return not session.form_token or constant_time_equal(form_token, session.form_token)

    def _mac(self, purpose: str, text: str) -> str:
        return new(self._key, f"{purpose}\0{text}".encode(errors="replace"), sha256).hexdigest()
