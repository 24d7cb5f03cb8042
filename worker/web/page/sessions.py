"""Signs viewers of the status page in: the admin token comes in a form that makes a session, or as a bearer token with each request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest, new

from worker.core.entropy import secret
from worker.web.peers import peer_of

COOKIE = "halo-worker-session"
LIFE = 8 * 3600  # seconds of a session: a shift
WRONG = 5
"""Wrong tokens of one peer within `WINDOW` seconds; after these no token of that peer is looked at."""
WINDOW = 60.0
PEERS = 1000  # whose wrong tokens are remembered
LONGEST = 1000  # characters of what is compared


@dataclass(frozen=True, slots=True)
class Session:
    """`form_token`: has to come with each form; empty for a bearer token, which no browser sends without being asked."""

    form_token: str = ""


class TooManyAttempts(Exception):
    """This peer gave too many wrong tokens; the text says for how long it has to wait."""


class Sessions:
    """Sessions are signed, not stored: each replica with the same token knows them, and another token ends all of them. `token` None: no viewer may act."""

    def __init__(self, token: str | None, now: Callable[[], float]) -> None:
        self._now = now
        self._token = token or ""
        self._key = new(self._token.encode(), b"halo-worker: sessions of the status page", sha256).digest()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def possible(self) -> bool:
        return bool(self._token)

    def begin(self, given: str, peer: str) -> str | None:
        """The value of the cookie; None for a wrong token. Raises `TooManyAttempts`."""
        if not self._is_token(given, peer):
            return None
        text = f"{int(self._now()) + LIFE}.{secret(12).hex()}"
        return f"{text}.{self._mac('session', text)}"

    def of(self, cookies: Mapping[str, str], authorization: str, peer: str) -> Session | None:
        """The session of a request; None where it has none. Raises `TooManyAttempts`."""
        kind, _, given = authorization.partition(" ")
        if kind.lower() == "bearer" and self.possible:
            return Session() if self._is_token(given.strip(), peer) else None
        cookie = cookies.get(COOKIE, "")[:LONGEST]
        text, _, mac = cookie.rpartition(".")
        if not self.possible or not same(mac, self._mac("session", text)):
            return None
        until = text.partition(".")[0]
        return Session(self._mac("form", text)) if until.isdecimal() and int(until) > self._now() else None

    def fits(self, session: Session, form_token: str) -> bool:
        """Whether a form came from a page of this session."""
        return not session.form_token or same(form_token, session.form_token)

    def _is_token(self, given: str, peer: str) -> bool:
        who = peer_of(peer)
        recent = [at for at in self._wrong.pop(who, ()) if self._now() - at < WINDOW]
        if len(recent) >= WRONG:
            self._wrong[who] = recent
            raise TooManyAttempts(f"too many wrong tokens: wait {WINDOW:.0f} s, then try again")
        if self.possible and same(given[:LONGEST], self._token):
            return True
        self._wrong[who] = [*recent, self._now()]
        while len(self._wrong) > PEERS:
            self._wrong.popitem(last=False)
        return False

    def _mac(self, purpose: str, text: str) -> str:
        return new(self._key, f"{purpose}\0{text}".encode(errors="replace"), sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """In a time that does not depend on where they differ, or on how long they are."""
    return compare_digest(sha256(given.encode(errors="replace")).digest(), sha256(expected.encode()).digest())
