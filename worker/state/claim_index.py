"""The claims read from their stream: the first owner of each key, for about a day, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import orjson

from worker.core.errors import WorkerError
from worker.core.ledger import Claim
from worker.state.stream_follower import StreamPosition

VERSION = 1
CLAIM_LIFETIME = 86_400  # seconds that a claim holds
MAX_KEYS = 1_000_000  # keys; with more, the oldest are forgotten early
KEY_BYTES, OWNER_BYTES, TIME_BITS = 16, 8, 40
TIME_MASK = (1 << TIME_BITS) - 1


class NotAClaim(WorkerError):
    """A message of the stream is no claim of this version."""


def digest(text: str, size: int) -> str:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=size).hexdigest()


@dataclass(frozen=True, slots=True)
class ClaimEntry:
    """One claim as the stream holds it. Keys and message ids come from outside and may be long or hold customer data: so it has only their digests."""

    key: str
    owner: str
    at: int
    """Seconds since 1970, by the clock of the replica that claims."""

    @classmethod
    def of(cls, key: str, message_id: str, at: float) -> Self:
        return cls(digest(key, KEY_BYTES), digest(message_id, OWNER_BYTES), int(at))

    @property
    def document(self) -> dict[str, Any]:
        return {"v": VERSION, "key": self.key, "owner": self.owner, "at": self.at}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The claim in a document. Raises `NotAClaim`."""
        try:
            entry = cls(document["key"], document["owner"], document["at"])
            int(entry.key, 16), int(entry.owner, 16)
            fits = (
                document["v"] == VERSION
                and len(entry.key) == 2 * KEY_BYTES
                and len(entry.owner) == 2 * OWNER_BYTES
                and type(entry.at) is int
                and entry.at >> TIME_BITS == 0
            )
        except (KeyError, TypeError, ValueError):
            raise NotAClaim("a message in the stream of claims is no claim") from None
        if not fits:
            raise NotAClaim("a message in the stream of claims is no claim of this version")
        return entry


def encoded(entries: Sequence[ClaimEntry]) -> bytes:
    """Claims as one message of the stream; their order decides."""
    return orjson.dumps(entries[0].document if len(entries) == 1 else [entry.document for entry in entries])


def decoded(body: bytes) -> list[ClaimEntry]:
    """The claims in a message of the stream. Raises `NotAClaim`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = []
    entries = [ClaimEntry.read(each) for each in (document if isinstance(document, list) else [document])]
    if not entries:
        raise NotAClaim("a message in the stream of claims is no claim")
    return entries


class ClaimIndex:
    """The winners so far. They depend on the entries alone, so all replicas that have read the same entries know the same winners.

    A key and its claim are two whole numbers: a million of them must fit into a small container. The index keeps two generations, and drops the older one as a
    whole when the younger is full or a day long: to remove single keys from the front of a large mapping is slow.
    """

    def __init__(self, *, kept: int = CLAIM_LIFETIME, most: int = MAX_KEYS) -> None:
        self._kept = kept
        self._half = max(most // 2, 1)
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._young_since = 0
        self.last: StreamPosition | None = None
        """Offset and message id of the last entry read. Reading continues after it if the stream still holds it."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def clear(self) -> None:
        self._young, self._old, self.last = {}, {}, None

    def add(self, entry: ClaimEntry) -> Claim:
        """Add the next entry of the stream, and return the answer for its writer."""
        key, owner = int(entry.key, 16), int(entry.owner, 16)
        holder = self._holder(key)
        if holder is not None and entry.at - (holder & TIME_MASK) <= self._kept:
            return Claim.AGAIN if holder >> TIME_BITS == owner else Claim.TAKEN
        self._make_room(entry.at)
        self._young[key] = owner << TIME_BITS | entry.at
        return Claim.WON

    def knows(self, key: str, now: float) -> bool:
        """Whether the key is claimed."""
        return self.claimed_at(key, now) is not None

    def claimed_at(self, key: str, now: float) -> int | None:
        """When the key was claimed, in seconds since 1970; None if it is not."""
        holder = self._holder(int(digest(key, KEY_BYTES), 16))
        return holder & TIME_MASK if holder is not None and now - (holder & TIME_MASK) <= self._kept else None

    def _holder(self, key: int) -> int | None:
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def _make_room(self, at: int) -> None:
        if not self._young:
            self._young_since = at
        elif len(self._young) >= self._half or at - self._young_since > self._kept:
            self._old, self._young, self._young_since = self._young, {}, at
