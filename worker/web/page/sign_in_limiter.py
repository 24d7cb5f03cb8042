"""Checks admin tokens: the right token always fits. After wrong tokens each answer is delayed, also for the right token."""

from __future__ import annotations

from collections import OrderedDict, deque
from hashlib import sha256
from hmac import compare_digest

from worker.core.ports import Clock
from worker.web.peers import peer_of

WRONG = 5
"""Wrong tokens of one peer within `WINDOW` seconds; after these each answer to that peer takes `HELD` seconds."""
WRONG_IN_ALL = 50
"""Wrong tokens of all peers within `WINDOW` seconds; after these each answer takes `HELD` seconds."""
WINDOW = 60.0
HELD = 5.0
PEERS = 1000  # the number of peers whose wrong tokens are remembered
MAX_TOKEN = 1000  # characters of a token that are compared


class SignInLimiter:
    """Checks every token and refuses none unchecked: behind a proxy operators and strangers are one peer, and a stranger would lock the operators out.

    A guess costs its connection `HELD` seconds, since the time of an answer does not depend on whether the token is right.
    """

    def __init__(self, token: str | None, clock: Clock) -> None:
        self._token = token or ""
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=WRONG_IN_ALL)

    async def fits(self, given: str, peer: str) -> bool:
        """Whether this is the token. After too many wrong tokens every answer takes `HELD` seconds."""
        who = peer_of(peer)
        held = self._is_full(self._wrong.get(who, deque(maxlen=WRONG))) or self._is_full(self._all)
        right = constant_time_equal(given[:MAX_TOKEN], self._token) and bool(self._token)
        if not right:
            self._count(who)
        if held:
            await self._clock.sleep(HELD)
        return right

    def _is_full(self, wrong: deque[float]) -> bool:
        return len(wrong) == wrong.maxlen and self._clock.monotonic() - wrong[0] < WINDOW

    def _count(self, who: str) -> None:
        now = self._clock.monotonic()
        self._all.append(now)
        self._wrong.setdefault(who, deque(maxlen=WRONG)).append(now)
        self._wrong.move_to_end(who)
        while len(self._wrong) > PEERS:
            self._wrong.popitem(last=False)


def constant_time_equal(given: str, expected: str) -> bool:
    """Whether both texts are equal. The time does not depend on the place of a difference, or on their lengths."""
    return compare_digest(sha256(given.encode(errors="replace")).digest(), sha256(expected.encode()).digest())
