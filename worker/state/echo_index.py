"""What is known of the writes of all replicas: which are under way, and what each left behind, for about a day, in bounded memory."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Literal, Self

import orjson

from worker.core.errors import WorkerError

VERSION = 1
KEPT = 86_400  # seconds that a write is remembered
MOST = 20_000  # writes, of 1 to 2 KB each; beyond it the oldest are forgotten early, and their echoes are published
UNDER_WAY = 120.0  # seconds after which a write that never ended is taken for lost
MOST_UNDER_WAY = 10_000
MEMBER = Struct(">IQ")  # a digest of a name and a digest of a value, or a moment
NAME = Struct(">I")
EMPTY: Mapping[int, int] = {}


class NotAnEcho(WorkerError):
    """A message of the stream is none of this version."""


def packed(members: Mapping[int, int]) -> str:
    return b64encode(b"".join(MEMBER.pack(name, value) for name, value in members.items())).decode()


def unpacked(text: str) -> dict[int, int]:
    return dict(MEMBER.iter_unpack(b64decode(text, validate=True)))


@dataclass(frozen=True, slots=True)
class Trail:
    """What a write left of one record: moments and digests only. Stamps and moments are milliseconds since 1970, names and values digests.

    `before`: the update stamp that it had when it was looked at before the write; `after`: the one that Halo answered. `members`: values of the answer;
    `moments`: those of its dates that are the time of the write; `changed`: values before the write of what differs (0: it was not set); `unclear`: names of
    what differs though the write does not explain it.
    """

    key: str
    kind: Literal["created", "updated", "deleted"]
    before: int | None = None
    after: int | None = None
    members: Mapping[int, int] = field(default_factory=lambda: EMPTY)
    moments: Mapping[int, int] = field(default_factory=lambda: EMPTY)
    changed: Mapping[int, int] = field(default_factory=lambda: EMPTY)
    unclear: frozenset[int] = frozenset()

    def document(self) -> dict[str, Any]:
        maps = {name: packed(getattr(self, name)) for name in ("members", "moments", "changed")}
        return {"key": self.key, "kind": self.kind, "before": self.before, "after": self.after, "unclear": sorted(self.unclear), **maps}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
        if document["kind"] not in {"created", "updated", "deleted"}:
            raise ValueError(document["kind"])
        before, after = (None if document[name] is None else int(document[name]) for name in ("before", "after"))
        members, moments, changed = (unpacked(document[name]) for name in ("members", "moments", "changed"))
        return cls(str(document["key"]), document["kind"], before, after, members, moments, changed, frozenset(map(int, document["unclear"])))


@dataclass(frozen=True, slots=True)
class Word:
    """One message of the stream, about the write `id`. `begun`: the keys that it is about to change; `creates`: how many records it will make; `trails`: how it ended."""

    id: str
    client: str
    resource: str
    at: int
    ended: bool = False
    begun: frozenset[str] = frozenset()
    creates: int = 0
    trails: tuple[Trail, ...] = ()

    def encode(self) -> bytes:
        about = {"v": VERSION, "id": self.id, "client": self.client, "resource": self.resource, "at": self.at}
        more: dict[str, Any] = {"trails": [trail.document() for trail in self.trails]} if self.ended else {"begun": sorted(self.begun), "creates": self.creates}
        return orjson.dumps(about | more)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `NotAnEcho`."""
        try:
            document = orjson.loads(body)
            if document["v"] != VERSION:
                raise NotAnEcho("a message in the stream of echoes is none of this version")
            about = (str(document["id"]), str(document["client"]), str(document["resource"]), int(document["at"]))
            if "trails" in document:
                return cls(*about, ended=True, trails=tuple(Trail.of(trail) for trail in document["trails"]))
            return cls(*about, begun=frozenset(map(str, document["begun"])), creates=int(document["creates"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise NotAnEcho("a message in the stream of echoes is none") from None


class EchoIndex:
    """What the words so far say. Trails are kept as they were read, packed, and taken apart when somebody asks for them."""

    def __init__(self, *, kept: float = KEPT, most: int = MOST) -> None:
        self._kept = kept
        self._most = most
        self._trails: dict[tuple[str, str, str], list[bytes]] = {}
        self._order: deque[tuple[int, tuple[str, str, str]]] = deque()
        self._under_way: dict[str, Word] = {}

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        self._trails.clear()
        self._order.clear()
        self._under_way.clear()

    def add(self, word: Word) -> None:
        if not word.ended:
            self._under_way[word.id] = word
            if len(self._under_way) > MOST_UNDER_WAY:
                del self._under_way[next(iter(self._under_way))]
            return
        self._under_way.pop(word.id, None)
        for trail in word.trails:
            place = (word.client, word.resource, trail.key)
            self._trails.setdefault(place, []).append(bytes(memoryview(orjson.dumps(trail.document()))))  # a copy: what orjson makes keeps its room to grow
            self._order.append((word.at, place))
        self._forget(word.at)

    def trails(self, client: str, resource: str, key: str) -> list[Trail]:
        """What our writes left of a record, oldest first."""
        return [Trail.of(orjson.loads(trail)) for trail in self._trails.get((client, resource, key), ())]

    def awaits(self, client: str, resource: str, keys: Iterable[str], now: float, *, creates: bool) -> bool:
        """Whether a write is under way that may have left one of these records, or one that is new."""
        wanted = set(keys)
        return any(
            (word.client, word.resource) == (client, resource) and abs(now - word.at) < UNDER_WAY and ((creates and word.creates) or wanted & word.begun)
            for word in self._under_way.values()
        )

    def _forget(self, now: int) -> None:
        while self._order and (len(self._order) > self._most or now - self._order[0][0] > self._kept):
            _, place = self._order.popleft()
            left = self._trails[place][1:]
            if left:
                self._trails[place] = left
            else:
                del self._trails[place]
