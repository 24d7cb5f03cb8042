"""One record of a Halo that is written by us and by somebody else, and a subscriber that polls it: what the echo guard decides, without sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.changes.records import content_hash
from worker.flows.echoes.footprints import ObservedRow, footprint_of, is_echo, stamp_of
from worker.sandbox.dates import naive, precise, stored
from worker.state.write_index import WriteFootprint

LISTED, HIDDEN = ("a", "b", "c"), ("x", "y")
TICKS = (timedelta(milliseconds=10), timedelta(seconds=1), timedelta(minutes=3))


@dataclass
class World:
    """`owed`: members that another writer wrote last since the subscriber dealt with the record."""

    values: dict[str, Any] = field(default_factory=lambda: {"a": "0", "b": "0", "x": "0"})
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    stamp: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    footprints: list[WriteFootprint] = field(default_factory=list)
    digest: str = ""
    dealt_stamp: int | None = None
    dealt: dict[str, Any] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)
    stamp_owed: bool = False
    left: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deal()

    def tick(self, size: int) -> None:
        self.now += TICKS[size]

    def row(self) -> dict[str, Any]:
        shown = {name: value for name, value in self.values.items() if name in LISTED and value is not None}
        return {"id": 1, "lastactiondate": naive(self.stamp), **shown, "lastupdate": naive(self.stamp)}

    def details(self, answered: datetime | None = None) -> dict[str, Any]:
        written = naive(self.stamp) if answered is None else precise(answered)
        shown = {name: value for name, value in self.values.items() if value is not None}
        return {"id": 1, "lastactiondate": written, **shown, "last_update": written}

    def put(self, sent: Mapping[str, Any]) -> None:
        self.values |= sent
        self.stamp = stored(self.now)

    def theirs(self, sent: Mapping[str, Any], *, untold: bool = False) -> None:
        """Somebody else writes. `untold`: between our look and our write, where only what stays can be told."""
        before = dict(self.values)
        self.put(sent)
        self.owed |= {name for name in sent if (before.get(name) or None) != (self.values.get(name) or None)}
        self.stamp_owed |= not untold

    def ours(self, sent: Mapping[str, Any], meanwhile: Mapping[str, Any] | None, size: int) -> None:
        """We look, somebody may write, we write."""
        before = self.details()
        if meanwhile is not None:
            self.tick(size)
            self.theirs(meanwhile, untold=True)
        self.tick(size)
        self.put(sent)
        self.owed -= sent.keys()
        self.left |= sent
        self.footprints.append(footprint_of("1", {"id": 1, **sent}, before, self.details(self.now)))

    def poll(self) -> str:
        """What the subscriber does with the record: `known`, `echo` or `told`."""
        row = self.row()
        if content_hash(row) == self.digest:
            return "known"
        return "echo" if is_echo(ObservedRow(stamp_of(row), known=True, dealt_with=self.dealt_stamp), self.footprints) else "told"

    def deal(self) -> None:
        """The subscriber has published or dropped what there is."""
        row = self.row()
        self.digest, self.dealt_stamp, self.dealt = content_hash(row), stamp_of(row), dict(self.values)
        self.owed.clear()
        self.left.clear()
        self.stamp_owed = False

    @property
    def owes(self) -> bool:
        """Whether another writer's change must be published: any that moved the stamp; between our read and our write, what can still be seen of it."""
        return self.stamp_owed or any(
            self._value(name) not in {self.dealt.get(name) or None, self.left.get(name, self.dealt.get(name)) or None} for name in self.owed
        )

    def _value(self, name: str) -> Any:
        return self.values.get(name) or None
