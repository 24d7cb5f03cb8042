"""Looks at admin tokens: the right one always fits, and after wrong ones each answer takes a while, the right one's too."""

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
PEERS = 1000  # whose wrong tokens are remembered
LONGEST = 1000  # characters of what is compared


class Attempts:
    """Never refuses a token unseen: behind a proxy operators and strangers are one peer, and a stranger would lock the operators out.

    A guess costs its connection `HELD` seconds, since the time of an answer does not depend on whether the token is right.
    """

    def __init__(self, token: str | None, clock: Clock) -> None:
        self._token = token or ""
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=WRONG_IN_ALL)

    async def fits(self, given: str, peer: str) -> bool:
        """Whether this is the token; after too many wrong ones the answer takes `HELD` seconds, whatever it is."""
        who = peer_of(peer)
        held = self._is_full(self._wrong.get(who, deque(maxlen=WRONG))) or self._is_full(self._all)
        right = same(given[:LONGEST], self._token) and bool(self._token)
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


def same(given: str, expected: str) -> bool:
    """In a time that does not depend on where they differ, or on how long they are."""
    return compare_digest(sha256(given.encode(errors="replace")).digest(), sha256(expected.encode()).digest())
