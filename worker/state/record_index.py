"""The known records of one subscriber in memory: key to content hash, with the changes since the last write to the stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

MAX_KNOWN = 1_000_000


@dataclass(slots=True)
class RecordIndex:
    """`hashes`: record key to content hash. `missing`: keys that the last complete scan did not read. `seen`: keys that the current scan has read.
    `traces`: record key to the echo guard's data for it, for routes with one. `owners`: record key to the key of its parent, for routes with `for_each`;
    `children` is the inverse.

    `pending` returns the delta of this turn:
    {"put": {key: hash}, "trace": {key: trace}, "owner": {key: parent}, "gone": [key], "missing": [key], "met": [key]}.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    traces: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)
    _put: dict[str, str] = field(default_factory=dict)
    _traced: dict[str, str] = field(default_factory=dict)
    _owned: dict[str, str] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    _missing: set[str] = field(default_factory=set)
    _met: set[str] = field(default_factory=set)

    def get(self, key: str) -> str | None:
        return self.hashes.get(key)

    def fits(self, made_of: tuple[str, ...], members: Sequence[str]) -> bool:
        """Return whether these members make the keys. `made_of`: the members that a baton names, empty in the baton of an older worker."""
        if made_of:
            return made_of == tuple(members)
        return all(key.count("/") >= len(members) - 1 for key in islice(self.hashes, 1))

    def put(self, key: str, digest: str, trace: str = "", owner: str = "") -> None:
        self.hashes[key] = digest
        self._put[key] = digest
        if owner and self.owners.get(key) != owner:
            self._set_owner(key, owner)
            self._owned[key] = owner
        if trace != self.traces.get(key, ""):
            self._trace(key, trace)
            self._traced[key] = trace

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self.hashes.pop(key, None) is not None:
                self.missing.discard(key)
                self.traces.pop(key, None)
                self._set_owner(key, "")
                self._put.pop(key, None)
                self._traced.pop(key, None)
                self._owned.pop(key, None)
                self._missing.discard(key)
                self._gone.add(key)

    def replace(self, key: str, mark: str) -> None:
        """Forget the record, and keep a mark in place of its content."""
        self.forget([key])
        self.put(key, mark)

    def mark_seen(self, keys: Iterable[str | None]) -> None:
        """Record that a scan has read these keys (None: a row without a key): they are no longer missing."""
        for key in self.missing.intersection(keys):
            self.missing.discard(key)
            self._missing.discard(key)
            self._met.add(key)

    def miss(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key in self.hashes and key not in self.missing:
                self.missing.add(key)
                self._met.discard(key)
                self._missing.add(key)

    def pending(self) -> dict[str, Any]:
        """Return the delta of this turn, without empty members."""
        delta: dict[str, Any] = {"put": self._put, "trace": self._traced, "owner": self._owned}
        delta |= {"gone": sorted(self._gone), "missing": sorted(self._missing), "met": sorted(self._met)}
        return {name: value for name, value in delta.items() if value}

    def clear_delta(self) -> None:
        """Empty the delta after the broker has confirmed it."""
        self._put, self._traced, self._owned, self._gone, self._missing, self._met = {}, {}, {}, set(), set(), set()

    def apply(self, delta: Mapping[str, Any]) -> None:
        """Apply a delta read from the stream."""
        for key in delta.get("gone", ()):
            self.hashes.pop(key, None)
            self.traces.pop(key, None)
            self._set_owner(key, "")
            self.missing.discard(key)
        self.hashes.update(delta.get("put", {}))
        for key, trace in delta.get("trace", {}).items():
            self._trace(key, trace)
        for key, owner in delta.get("owner", {}).items():
            self._set_owner(key, owner)
        self.missing.update(delta.get("missing", ()))
        self.missing.difference_update(delta.get("met", ()))
        if "seen" in delta:
            self.seen.update(delta["seen"])
        if delta.get("scan_ended"):
            self.seen.clear()

    def _trace(self, key: str, trace: str) -> None:
        if trace:
            self.traces[key] = trace
        else:
            self.traces.pop(key, None)

    def _set_owner(self, key: str, owner: str) -> None:
        """Make the record a child of `owner`; empty: of no parent."""
        before = self.owners.pop(key, "")
        if before and (siblings := self.children.get(before)) is not None:
            siblings.discard(key)
            if not siblings:
                del self.children[before]
        if owner:
            self.owners[key] = owner
            self.children.setdefault(owner, set()).add(key)
