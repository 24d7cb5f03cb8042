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


class NotAWriteNotice(WorkerError):
    """A message of the stream is none of this version."""


def packed(members: Mapping[int, int]) -> str:
    return b64encode(b"".join(MEMBER.pack(name, value) for name, value in members.items())).decode()


def unpacked(text: str) -> dict[int, int]:
    return dict(MEMBER.iter_unpack(b64decode(text, validate=True)))


@dataclass(frozen=True, slots=True)
class WriteFootprint:
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
class WriteNotice:
    """One message of the stream, about the write `id`. `begun`: the keys that it is about to change; `creates`: how many records it will make; `footprints`: how it ended."""

    id: str
    client: str
    resource: str
    at: int
    ended: bool = False
    begun: frozenset[str] = frozenset()
    creates: int = 0
    footprints: tuple[WriteFootprint, ...] = ()

    def encode(self) -> bytes:
        about = {"v": VERSION, "id": self.id, "client": self.client, "resource": self.resource, "at": self.at}
        more: dict[str, Any] = (
            {"footprints": [footprint.document() for footprint in self.footprints]} if self.ended else {"begun": sorted(self.begun), "creates": self.creates}
        )
        return orjson.dumps(about | more)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `NotAWriteNotice`."""
        try:
            document = orjson.loads(body)
            if document["v"] != VERSION:
                raise NotAWriteNotice("a message in the stream of echoes is none of this version")
            about = (str(document["id"]), str(document["client"]), str(document["resource"]), int(document["at"]))
            if "footprints" in document:
                return cls(*about, ended=True, footprints=tuple(WriteFootprint.of(footprint) for footprint in document["footprints"]))
            return cls(*about, begun=frozenset(map(str, document["begun"])), creates=int(document["creates"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise NotAWriteNotice("a message in the stream of echoes is none") from None


class WriteIndex:
    """What the notices so far say. Footprints are kept as they were read, packed, and taken apart when somebody asks for them."""

    def __init__(self, *, kept: float = KEPT, most: int = MOST) -> None:
        self._kept = kept
        self._most = most
        self._footprints: dict[tuple[str, str, str], list[bytes]] = {}
        self._order: deque[tuple[int, tuple[str, str, str]]] = deque()
        self._under_way: dict[str, WriteNotice] = {}

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        self._footprints.clear()
        self._order.clear()
        self._under_way.clear()

    def add(self, notice: WriteNotice) -> None:
        if not notice.ended:
            self._under_way[notice.id] = notice
            if len(self._under_way) > MOST_UNDER_WAY:
                del self._under_way[next(iter(self._under_way))]
            return
        self._under_way.pop(notice.id, None)
        for footprint in notice.footprints:
            place = (notice.client, notice.resource, footprint.key)
            self._footprints.setdefault(place, []).append(
                bytes(memoryview(orjson.dumps(footprint.document())))
            )  # a copy: what orjson makes keeps its room to grow
            self._order.append((notice.at, place))
        self._forget(notice.at)

    def footprints(self, client: str, resource: str, key: str) -> list[WriteFootprint]:
        """What our writes left of a record, oldest first."""
        return [WriteFootprint.of(orjson.loads(footprint)) for footprint in self._footprints.get((client, resource, key), ())]

    def awaits(self, client: str, resource: str, keys: Iterable[str], now: float, *, creates: bool) -> bool:
        """Whether a write is under way that may have left one of these records, or one that is new."""
        wanted = set(keys)
        return any(
            (notice.client, notice.resource) == (client, resource)
            and abs(now - notice.at) < UNDER_WAY
            and ((creates and notice.creates) or wanted & notice.begun)
            for notice in self._under_way.values()
        )

    def _forget(self, now: int) -> None:
        while self._order and (len(self._order) > self._most or now - self._order[0][0] > self._kept):
            _, place = self._order.popleft()
            left = self._footprints[place][1:]
            if left:
                self._footprints[place] = left
            else:
                del self._footprints[place]
