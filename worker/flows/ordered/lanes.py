"""Lanes: per key the messages that wait for their turn, in order. Only the first of a lane may run; lanes do not hold each other up. Pure."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, nlargest
from typing import Generic, TypeVar

from worker.core.outcome import Refused
from worker.flows.ordered.turns import Turns

T = TypeVar("T")
Place = tuple[int, str]
"""Where a message stands: its sequence, and its id."""
Made = tuple[int, int]
"""How far a copy of a message is; the copy with more attempts is the later one."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a message says of its turn. `order`: it waits for the earlier ones with this key; None: it waits for no other.

    `customer`: whose turn it takes; empty for all that name none. `refused`: why it cannot be applied; it says so when its turn comes.
    """

    order: str | None = None
    customer: str = ""
    refused: Refused | None = None


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """A message that is in the waiting room, or on its way there.

    `item`: the message in our deps, with the attempts `made` before, since `since`; None while the copy that counts is still under way. It may run from `due` on,
    and alone when `careful`. `moving`: its original is still in the route's queue.
    """

    place: Place
    keys: Keys
    size: int
    moving: bool = False
    item: T | None = None
    made: Made = (0, 0)
    due: float = 0.0
    since: float = 0.0
    careful: bool = False
    running: bool = False

    @property
    def customer(self) -> str:
        return self.keys.customer

    def __lt__(self, other: Entry[T]) -> bool:
        return self.place < other.place


class Lanes(Generic[T]):
    """All lanes of one route; at most `concurrency` entries run at once, and of one customer at most `each`. Times are whatever clock the caller keeps to."""

    def __init__(self, concurrency: int, each: int | None = None) -> None:
        self._concurrency = concurrency
        self._entries: dict[Place, Entry[T]] = {}
        self._lanes: dict[str | Place, list[Entry[T]]] = {}
        self._turns: Turns[Entry[T]] = Turns(each or concurrency)
        self._customers: Counter[str] = Counter()
        self._waiting: list[tuple[float, Entry[T]]] = []
        self._alone = False
        self.running = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, place: Place) -> Entry[T] | None:
        return self._entries.get(place)

    @property
    def newest(self) -> Place | None:
        return max(self._entries, default=None)

    @property
    def customers(self) -> int:
        """How many customers have messages here."""
        return len(self._customers)

    @property
    def largest(self) -> tuple[str, int]:
        """The customer with the most messages, and how many these are."""
        return max(self._customers.items(), key=lambda each: each[1], default=("", 0))

    def last(self, count: int) -> list[T]:
        """The messages with the highest sequences."""
        return [entry.item for entry in nlargest(count, self._entries.values()) if entry.item is not None]

    def expect(self, place: Place, keys: Keys, size: int, *, moving: bool = False) -> Entry[T]:
        """A message that is about to be put into the room: what comes after it must wait for it. One that is `moving` runs after `moved`."""
        entry: Entry[T] = Entry(place, keys, size, moving)
        self._entries[place] = entry
        insort(self._lanes.setdefault(lane_of(entry), []), entry)
        self._customers[entry.customer] += 1
        self.size += size
        return entry

    def arrive(self, entry: Entry[T], item: T, *, made: Made, due: float, now: float, careful: bool = False) -> T | None:
        """A copy of the entry came out of the room. Of several copies the furthest stays, of equal ones the newest; what is not needed is returned, to be let go."""
        if made < entry.made or (entry.running and made == entry.made):
            return item
        surplus, entry.item = entry.item, item
        entry.made, entry.due, entry.since, entry.careful = made, due, now, careful
        self._offer(entry)
        return surplus

    def moved(self, entry: Entry[T]) -> None:
        """Its original is off the route's queue, so that no other replica can begin it."""
        entry.moving = False
        self._offer(entry)

    def start(self, now: float) -> Entry[T] | None:
        """The next that may run now: the oldest of the customer whose turn it is; None when there is none. It runs until `finish` or `postpone`."""
        while self._waiting and self._waiting[0][0] <= now:
            entry = heappop(self._waiting)[1]
            if self._may_run(entry) and entry.due <= now:
                self._turns.add(entry)
        if self._alone or self.running >= self._concurrency:
            return None
        found = self._turns.next(lambda entry: self._may_run(entry) and entry.due <= now)
        if found is None or (found.careful and self.running):
            return None
        self._turns.take(found)
        found.running, self._alone = True, found.careful
        self.running += 1
        return found

    def next_due(self) -> float | None:
        """When the next entry that waits for its time may run; None when only something new can change anything."""
        while self._waiting and not self._may_run(self._waiting[0][1]):
            heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def finish(self, entry: Entry[T]) -> None:
        """It is off the room for good: the next of its lane is up."""
        self._stop(entry)
        self._leave(entry)

    def forget(self, entry: Entry[T]) -> None:
        """It never came into the room: what was to come after it need not wait for it."""
        self._leave(entry)

    def postpone(self, entry: Entry[T], made: Made, due: float) -> None:
        """A copy goes into the room, to be tried again: the lane waits for that copy, and for its time."""
        self._stop(entry)
        entry.item, entry.made, entry.due = None, made, due

    def resume(self, entry: Entry[T], item: T) -> None:
        """Its copy could not be made after all: it runs on as before `postpone`, until `finish`."""
        entry.item, entry.running = item, True
        self.running += 1
        self._turns.hold(entry.customer)

    def idle_since(self, moment: float) -> Iterator[Entry[T]]:
        """Those that have been in our deps, not running, since before then."""
        return (entry for entry in list(self._entries.values()) if entry.item is not None and not entry.running and entry.since < moment)

    def let_go(self) -> None:
        """No more starts: the messages that have not started are not kept, although what still runs keeps the lanes."""
        for entry in self._entries.values():
            if not entry.running:
                entry.item = None

    def held_up(self, now: float) -> int:
        """How many lanes wait for the time of a message that failed."""
        return len({entry.place for due, entry in self._waiting if due > now and entry.due == due and self._may_run(entry)})

    def _leave(self, entry: Entry[T]) -> None:
        self.size -= entry.size
        del self._entries[entry.place]
        self._customers[entry.customer] -= 1
        if not self._customers[entry.customer]:
            del self._customers[entry.customer]
        lane = self._lanes[lane_of(entry)]
        lane.remove(entry)
        if lane:
            self._offer(lane[0])
        else:
            del self._lanes[lane_of(entry)]

    def _stop(self, entry: Entry[T]) -> None:
        entry.running = self._alone = False
        self.running -= 1
        self._turns.release(entry.customer)

    def _offer(self, entry: Entry[T]) -> None:
        if self._may_run(entry):
            heappush(self._waiting, (entry.due, entry))

    def _may_run(self, entry: Entry[T]) -> bool:
        return entry.item is not None and not (entry.running or entry.moving) and self._lanes.get(lane_of(entry), [None])[0] is entry


def lane_of(entry: Entry[T]) -> str | Place:
    return entry.place if entry.keys.order is None else entry.keys.order
