"""Admit a bounded number of connections or calls, with a share for each peer. When either is full, the newest replaces the oldest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Admission:
    """One admitted connection or call. `evict` ends it to make room; a `pinned` admission is never evicted."""

    peer: str
    evict: Callable[[], None]
    pinned: bool = False


class AdmissionPool:
    """At most `limit` admissions, and `share` for each peer.

    The newest enters and the oldest is evicted: an honest caller needs its admission for milliseconds, and a caller that only occupies one is soon the oldest.
    A peer with a full share evicts only its own admissions.
    """

    def __init__(self, limit: int, share: int) -> None:
        self._limit = limit
        self._share = share
        self._admissions: dict[Admission, None] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._admissions)

    def admit(self, peer: str, evict: Callable[[], None]) -> Admission | None:
        """Return an admission to `release` later; None when all possible victims of an eviction are pinned."""
        own = [admission for admission in self._admissions if admission.peer == peer]
        if len(own) >= self._share:
            in_the_way = own
        elif len(self._admissions) >= self._limit:
            in_the_way = list(self._admissions)
        else:
            return self._take(peer, evict)
        oldest = next((admission for admission in in_the_way if not admission.pinned), None)
        if oldest is None:
            return None
        self.release(oldest)
        oldest.evict()
        return self._take(peer, evict)

    def release(self, admission: Admission) -> None:
        """End an admission; an evicted one needs no release."""
        self._admissions.pop(admission, None)

    def _take(self, peer: str, evict: Callable[[], None]) -> Admission:
        admission = Admission(peer, evict)
        self._admissions[admission] = None
        return admission
