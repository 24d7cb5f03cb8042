"""The baton: one small message that holds a subscriber's progress. The replica that has it takes the next turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from worker.core.errors import WorkerError

VERSION = 1
MAX_AHEAD = 2 * 86_400.0  # seconds by which clocks and time zones may differ
MAX_WAIT = 400 * 86_400.0  # seconds; a schedule may be yearly
MAX_COUNT = 2**53
NUMBER = (int, float)
KINDS: Mapping[str, tuple[type, ...]] = {
    "epoch": (int,),
    "generation": (int,),
    "learnt": (bool,),
    "polls": (int,),
    "polled": NUMBER,
    "due": NUMBER,
    "full_due": NUMBER,
    "scan": (dict, type(None)),
    "failures": (int,),
    "backfill": (dict, type(None)),
    "poll_due": NUMBER,
}
LATER: Mapping[str, Any] = {"again": None, "failures": 0, "key": [], "backfill": None, "poll_due": 0.0}  # the first versions of the worker did not write these
KNOWN_KINDS: Mapping[str, tuple[type, ...]] = {"last": (str, type(None)), "offset": (int,), "size": (int,), "appended": (int,), "snapshot": (int,)}


class BatonUnreadable(WorkerError):
    """A message on a state queue is no baton, or the baton of a newer worker."""

    def __init__(self, reason: str, *, newer: bool = False) -> None:
        super().__init__(reason)
        self.newer = newer


@dataclass(frozen=True, slots=True)
class KnownRef:
    """Where the known records are in their stream: from `offset` to the message `last`, which is None while there are none.

    `size`: number of records. `appended`: bytes written since the snapshot. `snapshot`: bytes of the snapshot.
    """

    last: str | None = None
    offset: int = 0
    size: int = 0
    appended: int = 0
    snapshot: int = 0


@dataclass(frozen=True, slots=True)
class Baton:
    """One subscriber's progress.

    - `epoch`, `generation`: the rank. `epoch` rises when an operator replaces the baton, `generation` with each turn.
    - `cursor`: the newest update stamp that the subscriber has processed.
    - `learnt`: the first scan has ended. `polls`: number of scans that have ended.
    - `polled`, `due`, `full_due`: the last poll, the next turn and the next full scan, in seconds since 1970.
    - `scan`: the position of a scan that continues in the next turn, as the flow writes it; None between scans.
    - `known`: where the known records are.
    - `failures`: number of polls in a row that failed, up to the last one.
    - `key`: the members that make the keys of the known records; empty in the baton of an older worker.
    - `backfill`: the current backfill or the last one, as `Backfill.as_object` writes it. `poll_due`: the next poll, while turns of a backfill come before it.
    - `again`: an operator moved the cursor here. The next scan publishes every record updated since then, known or not.
    """

    epoch: int = 0
    generation: int = 0
    cursor: datetime | None = None
    learnt: bool = False
    polls: int = 0
    polled: float = 0.0
    due: float = 0.0
    full_due: float = 0.0
    scan: dict[str, Any] | None = None
    known: KnownRef = field(default_factory=KnownRef)
    again: datetime | None = None
    failures: int = 0
    key: tuple[str, ...] = ()
    backfill: dict[str, Any] | None = None
    poll_due: float = 0.0

    @property
    def rank(self) -> tuple[int, int]:
        return (self.epoch, self.generation)

    def advanced(self, **changes: Any) -> Self:
        """The baton for the next turn."""
        return replace(self, generation=self.generation + 1, **changes)

    def implausible(self, now: float) -> str:
        """The reason why no worker can have written this baton; empty for a plausible one. `now`: seconds since 1970."""
        moments = {"cursor": self.cursor, "again": self.again}
        late = [name for name, moment in moments.items() if moment is not None and moment.timestamp() > now + MAX_AHEAD]
        times = {
            "epoch": self.epoch,
            "polled": self.polled,
            "due": self.due - MAX_WAIT,
            "poll_due": self.poll_due - MAX_WAIT,
            "full_due": self.full_due - MAX_WAIT,
        }
        late += [name for name, value in times.items() if value > now + MAX_AHEAD]
        if late:
            return f"its {' and '.join(late)} lies too far in the future"
        counts = (self.epoch, self.generation, self.polls, self.failures, self.known.offset, self.known.size, self.known.appended, self.known.snapshot)
        return "" if all(0 <= value <= MAX_COUNT for value in counts) else "it has a count that is out of range"

    def encode(self) -> bytes:
        return orjson.dumps({"v": VERSION} | {item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `BatonUnreadable`. Ignores unknown members, so that an older worker reads a newer one's baton of the same version."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BatonUnreadable(f"the message is not JSON: {error.msg}") from None
        if not isinstance(document, dict) or not isinstance(version := document.get("v"), int):
            raise BatonUnreadable("the message is no baton")
        if version > VERSION:
            raise BatonUnreadable(f"the baton has version {version}; this worker reads version {VERSION}", newer=True)
        try:
            document = {**LATER, **document}
            known, key = KnownRef(**checked_members(document["known"], KNOWN_KINDS)), texts(document["key"])
            return cls(known=known, key=key, cursor=moment(document["cursor"]), again=moment(document["again"]), **checked_members(document, KINDS))
        except (KeyError, TypeError, ValueError) as error:
            raise BatonUnreadable(f"a member of the baton is missing or wrong: {error!r}") from None


def checked_members(document: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """The members, checked for these types. Raises `KeyError` or `TypeError` here, so that a wrong member does not fail in every turn."""
    for name, valid in kinds.items():
        if type(document[name]) not in valid:
            raise TypeError(name)
    return {name: document[name] for name in kinds}


def texts(value: Any) -> tuple[str, ...]:
    """The list of texts as a tuple. Raises `TypeError`."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(value)
    return tuple(value)


def moment(text: Any) -> datetime | None:
    """The time in UTC, None for null. Raises `TypeError`, `ValueError`."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def highest(batons: Iterable[Baton]) -> Baton:
    """The baton with the highest rank. A replica that seemed dead may have put another baton."""
    return max(batons, key=lambda baton: baton.rank)
