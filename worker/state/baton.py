"""The baton: the one small message that holds a subscriber's progress; whoever has it does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self

import orjson

from worker.core.errors import WorkerError

VERSION = 1
AHEAD = 2 * 86_400.0  # seconds by which clocks and time zones may differ
LONGEST_WAIT = 400 * 86_400.0  # seconds; a schedule may be yearly
MOST = 2**53
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
}
KNOWN_KINDS: Mapping[str, tuple[type, ...]] = {"last": (str, type(None)), "offset": (int,), "size": (int,), "appended": (int,), "snapshot": (int,)}


class BatonUnreadable(WorkerError):
    """A message on a state queue is no baton, or one of a newer worker."""

    def __init__(self, reason: str, *, newer: bool = False) -> None:
        super().__init__(reason)
        self.newer = newer


@dataclass(frozen=True, slots=True)
class KnownRef:
    """Where the known records are in their stream: read from `offset` to the message `last`; both None when there is nothing yet.

    `size`: records; `appended`: bytes written since the snapshot; `snapshot`: bytes of the snapshot.
    """

    last: str | None = None
    offset: int = 0
    size: int = 0
    appended: int = 0
    snapshot: int = 0


@dataclass(frozen=True, slots=True)
class Baton:
    """`generation` counts turns, `epoch` operators' interventions. `cursor`: newest stamp of Halo's that is dealt with. `polled`, `full_due`: seconds since 1970.

    `scan` is the position of a scan that goes on, as the flow writes it. `learnt`: the first scan is over. `polls`: ended scans. `again`: the next scan publishes
    what was updated since then once more, known or not (an operator moved the cursor).
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

    @property
    def rank(self) -> tuple[int, int]:
        return (self.epoch, self.generation)

    def advanced(self, **changes: Any) -> Self:
        """The baton of the next turn."""
        return replace(self, generation=self.generation + 1, **changes)

    def implausible(self, now: float) -> str:
        """Why no worker can have written it; empty where one may have. `now`: seconds since 1970."""
        moments = {"cursor": self.cursor, "again": self.again}
        late = [name for name, moment in moments.items() if moment is not None and moment.timestamp() > now + AHEAD]
        times = {"epoch": self.epoch, "polled": self.polled, "due": self.due - LONGEST_WAIT, "full_due": self.full_due - LONGEST_WAIT}
        late += [name for name, value in times.items() if value > now + AHEAD]
        if late:
            return f"its {' and '.join(late)} lies too far in the future"
        counts = (self.epoch, self.generation, self.polls, self.known.offset, self.known.size, self.known.appended, self.known.snapshot)
        return "" if all(0 <= value <= MOST for value in counts) else "it has a count that is out of range"

    def encode(self) -> bytes:
        return orjson.dumps({"v": VERSION} | {item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Raises `BatonUnreadable`; members that this version does not know are left out, so that an older worker can read a newer one's of the same version."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BatonUnreadable(f"not JSON: {error.msg}") from None
        if not isinstance(document, dict) or not isinstance(version := document.get("v"), int):
            raise BatonUnreadable("not a baton")
        if version > VERSION:
            raise BatonUnreadable(f"a baton of version {version}; this worker reads {VERSION}", newer=True)
        try:
            known = KnownRef(**members(document["known"], KNOWN_KINDS))
            again = moment(document.get("again"))  # the first version of the worker did not write it
            return cls(known=known, cursor=moment(document["cursor"]), again=again, **members(document, KINDS))
        except (KeyError, TypeError, ValueError) as error:
            raise BatonUnreadable(f"a baton with a member missing or wrong: {error!r}") from None


def members(document: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """The members of these kinds. Raises `KeyError` or `TypeError`: a wrong one must not bring down whoever takes the baton, turn after turn."""
    for name, valid in kinds.items():
        if type(document[name]) not in valid:
            raise TypeError(name)
    return {name: document[name] for name in kinds}


def moment(text: Any) -> datetime | None:
    """Raises `TypeError`, `ValueError`."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def highest(batons: Iterable[Baton]) -> Baton:
    """Of several batons the furthest counts: a holder that was presumed dead may still have put one."""
    return max(batons, key=lambda baton: baton.rank)
