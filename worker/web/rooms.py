"""A bounded number of places, with a share for each peer; when either is full, the oldest place that can gives way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Place:
    """One connection or call. `give_way` ends it to make room; a place that is `firm` is never asked to."""

    peer: str
    give_way: Callable[[], None]
    firm: bool = False


class Room:
    """`limit` places in all, `share` for each peer.

    The newest is let in, not the oldest kept: an honest caller needs its place for milliseconds, one who only occupies it is soon the oldest.
    A peer whose own share is full displaces only itself.
    """

    def __init__(self, limit: int, share: int) -> None:
        self._limit = limit
        self._share = share
        self._places: dict[Place, None] = {}  # in the order in which they were taken

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, peer: str, give_way: Callable[[], None]) -> Place | None:
        """A place, which `leave` frees; None when every place that would have to give way is firm."""
        own = [place for place in self._places if place.peer == peer]
        if len(own) >= self._share:
            in_the_way = own
        elif len(self._places) >= self._limit:
            in_the_way = list(self._places)
        else:
            return self._take(peer, give_way)
        oldest = next((place for place in in_the_way if not place.firm), None)
        if oldest is None:
            return None
        self.leave(oldest)
        oldest.give_way()
        return self._take(peer, give_way)

    def leave(self, place: Place) -> None:
        """Also for one that has given way already."""
        self._places.pop(place, None)

    def _take(self, peer: str, give_way: Callable[[], None]) -> Place:
        place = Place(peer, give_way)
        self._places[place] = None
        return place
