"""Lanes: per key the messages that wait for their turn, in order. Only the first of a lane may run; lanes do not hold each other up. Pure."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, nlargest
from typing import Generic, TypeVar

from worker.core.outcome import Refused
from worker.flows.ordered.customer_round_robin import CustomerRoundRobin

T = TypeVar("T")
QueuePlace = tuple[int, str]
"""The place of a message in the order: its sequence, and its id."""
AttemptProgress = tuple[int, int]
"""How far a copy of a message is; the copy with more attempts is the later one."""


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """The keys of a message. `order`: it waits for the earlier messages with this key; None: it waits for no other.

    `customer`: the customer whose turn it takes; empty for all messages that name none. `refused`: why it cannot be applied; it is refused when its turn comes.
    """

    order: str | None = None
    customer: str = ""
    refused: Refused | None = None


@dataclass(slots=True, eq=False)
class LaneEntry(Generic[T]):
    """A message that is in the waiting queue, or on its way there.

    `item`: the delivered message, here since `since`, with the attempts `progress` before; None while the copy that counts is still under way. It may run from
    `due` on, and alone when `exclusive`. `moving`: its original is still in the route's queue.
    """

    place: QueuePlace
    keys: MessageKeys
    size: int
    moving: bool = False
    item: T | None = None
    progress: AttemptProgress = (0, 0)
    due: float = 0.0
    since: float = 0.0
    exclusive: bool = False
    running: bool = False

    @property
    def customer(self) -> str:
        return self.keys.customer

    def __lt__(self, other: LaneEntry[T]) -> bool:
        return self.place < other.place


class Lanes(Generic[T]):
    """All lanes of one route. At most `concurrency` entries run at once, and of one customer at most `each`. All times are on the caller's clock."""

    def __init__(self, concurrency: int, each: int | None = None) -> None:
        self._concurrency = concurrency
        self._entries: dict[QueuePlace, LaneEntry[T]] = {}
        self._lanes: dict[str | QueuePlace, list[LaneEntry[T]]] = {}
        self._turns: CustomerRoundRobin[LaneEntry[T]] = CustomerRoundRobin(each or concurrency)
        self._customers: Counter[str] = Counter()
        self._waiting: list[tuple[float, LaneEntry[T]]] = []
        self._alone = False
        self.running = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, place: QueuePlace) -> LaneEntry[T] | None:
        return self._entries.get(place)

    @property
    def newest(self) -> QueuePlace | None:
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

    def expect(self, place: QueuePlace, keys: MessageKeys, size: int, *, moving: bool = False) -> LaneEntry[T]:
        """Add a message that is about to be published to the waiting queue: later messages must wait for it. A `moving` message runs after `moved`."""
        entry: LaneEntry[T] = LaneEntry(place, keys, size, moving)
        self._entries[place] = entry
        insort(self._lanes.setdefault(lane_of(entry), []), entry)
        self._customers[entry.customer] += 1
        self.size += size
        return entry

    def arrive(self, entry: LaneEntry[T], item: T, *, progress: AttemptProgress, due: float, now: float, exclusive: bool = False) -> T | None:
        """Take a copy of the entry that the waiting queue delivered. Return the copy that is not needed, to be acknowledged.

        The copy with the most progress stays. Of equal copies the newest stays, unless the entry runs.
        """
        if progress < entry.progress or (entry.running and progress == entry.progress):
            return item
        surplus, entry.item = entry.item, item
        entry.progress, entry.due, entry.since, entry.exclusive = progress, due, now, exclusive
        self._schedule(entry)
        return surplus

    def moved(self, entry: LaneEntry[T]) -> None:
        """Note that the original has left the route's queue: no other replica can begin it."""
        entry.moving = False
        self._schedule(entry)

    def start(self, now: float) -> LaneEntry[T] | None:
        """Start and return the next message that may run now: the oldest of the customer whose turn it is. None if there is none.

        It runs until `finish` or `postpone`.
        """
        while self._waiting and self._waiting[0][0] <= now:
            entry = heappop(self._waiting)[1]
            if self._may_run(entry) and entry.due <= now:
                self._turns.add(entry)
        if self._alone or self.running >= self._concurrency:
            return None
        found = self._turns.next(lambda entry: self._may_run(entry) and entry.due <= now)
        if found is None or (found.exclusive and self.running):
            return None
        self._turns.take(found)
        found.running, self._alone = True, found.exclusive
        self.running += 1
        return found

    def next_due(self) -> float | None:
        """Return when the next entry that waits for its time may run; None if only a new event can let an entry run."""
        while self._waiting and not self._may_run(self._waiting[0][1]):
            heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def finish(self, entry: LaneEntry[T]) -> None:
        """Remove an entry that has left the waiting queue for good: the next of its lane may run."""
        self._stop(entry)
        self._remove(entry)

    def forget(self, entry: LaneEntry[T]) -> None:
        """Remove an entry that never came into the waiting queue: later messages need not wait for it."""
        self._remove(entry)

    def postpone(self, entry: LaneEntry[T], progress: AttemptProgress, due: float) -> None:
        """Let the lane wait for a copy that goes into the waiting queue to be tried again, and for the time of the copy."""
        self._stop(entry)
        entry.item, entry.progress, entry.due = None, progress, due

    def resume(self, entry: LaneEntry[T], item: T) -> None:
        """Undo `postpone`, since the copy could not be published: the entry runs on until `finish`."""
        entry.item, entry.running = item, True
        self.running += 1
        self._turns.hold(entry.customer)

    def idle_since(self, moment: float) -> Iterator[LaneEntry[T]]:
        """Yield the entries whose messages arrived before `moment` and are not running."""
        return (entry for entry in list(self._entries.values()) if entry.item is not None and not entry.running and entry.since < moment)

    def stop_starting(self) -> None:
        """Start nothing more. Messages that have not started are dropped, although running messages keep the lanes in memory."""
        for entry in self._entries.values():
            if not entry.running:
                entry.item = None

    def retrying_lanes(self, now: float) -> int:
        """Return how many lanes wait for the next attempt of a message that failed."""
        return len({entry.place for due, entry in self._waiting if due > now and entry.due == due and self._may_run(entry)})

    def _remove(self, entry: LaneEntry[T]) -> None:
        self.size -= entry.size
        del self._entries[entry.place]
        self._customers[entry.customer] -= 1
        if not self._customers[entry.customer]:
            del self._customers[entry.customer]
        lane = self._lanes[lane_of(entry)]
        lane.remove(entry)
        if lane:
            self._schedule(lane[0])
        else:
            del self._lanes[lane_of(entry)]

    def _stop(self, entry: LaneEntry[T]) -> None:
        entry.running = self._alone = False
        self.running -= 1
        self._turns.release(entry.customer)

    def _schedule(self, entry: LaneEntry[T]) -> None:
        if self._may_run(entry):
            heappush(self._waiting, (entry.due, entry))

    def _may_run(self, entry: LaneEntry[T]) -> bool:
        return entry.item is not None and not (entry.running or entry.moving) and self._lanes.get(lane_of(entry), [None])[0] is entry


def lane_of(entry: LaneEntry[T]) -> str | QueuePlace:
    return entry.place if entry.keys.order is None else entry.keys.order
