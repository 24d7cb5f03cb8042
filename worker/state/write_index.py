"""The writes of all replicas to Halo, from their notices: writes in flight, and the footprints of ended ones, for about a day in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Literal, Self

import orjson

from worker.core.errors import WorkerError

VERSION = 2
WRITE_LIFETIME = 86_400  # seconds that the index remembers a write
MAX_FOOTPRINTS = 20_000  # of some 700 bytes each; with more, the oldest are forgotten early, and their echoes are published
IN_FLIGHT = 120.0  # seconds after which a write without an end counts as lost
MAX_IN_FLIGHT = 10_000
Kind = Literal["created", "updated", "deleted"]
KINDS: Mapping[str, Kind] = {"created": "created", "updated": "updated", "deleted": "deleted"}


class NotAWriteNotice(WorkerError):
    """A message of the stream is no write notice of this version."""


@dataclass(frozen=True, slots=True)
class WriteFootprint:
    """The effect of a write on one record. Stamps are microseconds since 1970.

    `before`: the update stamp that the write found; for a deletion, the last stamp of the record. `after`: the stamp in Halo's answer. `unexplained`: names of
    members whose change the write does not explain.
    """

    key: str
    kind: Kind
    before: int | None = None
    after: int | None = None
    unexplained: frozenset[str] = frozenset()

    def document(self) -> dict[str, Any]:
        return {"key": self.key, "kind": self.kind, "before": self.before, "after": self.after, "unexplained": sorted(self.unexplained)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The footprint in a document. Raises `KeyError`, `TypeError` or `ValueError` if it is none."""
        kind = KINDS[document["kind"]]
        before, after = (None if document[name] is None else int(document[name]) for name in ("before", "after"))
        return cls(str(document["key"]), kind, before, after, frozenset(map(str, document["unexplained"])))


@dataclass(frozen=True, slots=True)
class WriteNotice:
    """One message of the stream, about the write `id`: its announcement (`begun`: the keys that it changes; `creates`: how many records), or its end."""

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
        more: dict[str, Any] = {"begun": sorted(self.begun), "creates": self.creates}
        if self.ended:
            more = {"footprints": [footprint.document() for footprint in self.footprints]}
        return orjson.dumps(about | more)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The notice in a message. Raises `NotAWriteNotice`."""
        try:
            document = orjson.loads(body)
            if document["v"] != VERSION:
                raise NotAWriteNotice(f"the message is no write notice of version {VERSION}")
            about = (str(document["id"]), intern(str(document["client"])), intern(str(document["resource"])), int(document["at"]))
            if "footprints" in document:
                return cls(*about, ended=True, footprints=tuple(WriteFootprint.of(footprint) for footprint in document["footprints"]))
            return cls(*about, begun=frozenset(map(str, document["begun"])), creates=int(document["creates"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise NotAWriteNotice("the message is no write notice") from None


class WriteIndex:
    """The writes in flight and the footprints, from all notices so far."""

    def __init__(self, *, kept: float = WRITE_LIFETIME, most: int = MAX_FOOTPRINTS) -> None:
        self._kept = kept
        self._most = most
        self._footprints: dict[tuple[str, str, str], list[WriteFootprint]] = {}
        self._order: deque[tuple[int, tuple[str, str, str]]] = deque()
        self._in_flight: dict[str, WriteNotice] = {}

    def __len__(self) -> int:
        return len(self._order)

    def clear(self) -> None:
        self._footprints.clear()
        self._order.clear()
        self._in_flight.clear()

    def add(self, notice: WriteNotice) -> None:
        if not notice.ended:
            self._in_flight[notice.id] = notice
            if len(self._in_flight) > MAX_IN_FLIGHT:
                del self._in_flight[next(iter(self._in_flight))]
            return
        self._in_flight.pop(notice.id, None)
        for footprint in notice.footprints:
            record = (notice.client, notice.resource, footprint.key)
            self._footprints.setdefault(record, []).append(footprint)
            self._order.append((notice.at, record))
        self._forget(notice.at)

    def footprints(self, client: str, resource: str, key: str) -> list[WriteFootprint]:
        """The footprints of our writes on a record, oldest first."""
        return list(self._footprints.get((client, resource, key), ()))

    def in_flight(self, client: str, resource: str, keys: Iterable[str], now: float, *, creates: bool) -> bool:
        """Whether a write in flight may have changed one of these records or, with `creates`, created one."""
        wanted = set(keys)
        return any(
            (notice.client, notice.resource) == (client, resource)
            and abs(now - notice.at) < IN_FLIGHT
            and ((creates and notice.creates) or wanted & notice.begun)
            for notice in self._in_flight.values()
        )

    def _forget(self, now: int) -> None:
        while self._order and (len(self._order) > self._most or now - self._order[0][0] > self._kept):
            _, record = self._order.popleft()
            del self._footprints[record][0]
            if not self._footprints[record]:
                del self._footprints[record]
