"""Turns: which customer's message starts next when a place is free. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, Protocol, Self, TypeVar


class ReadyMessage(Protocol):
    """A message that may start. Of the messages of one customer the smallest goes first."""

    @property
    def customer(self) -> str: ...

    def __lt__(self, other: Self, /) -> bool: ...


R = TypeVar("R", bound=ReadyMessage)


class CustomerRoundRobin(Generic[R]):
    """Round robin over the customers, in logarithmic time for each start. No customer holds more than `most` places.

    The customer that has waited longest for its turn is the next one. It waits since its last turn, since a place of it became free, or since its first
    message.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: dict[str, list[R]] = {}
        self._line: deque[str] = deque()
        self._in_line: set[str] = set()
        self._held: Counter[str] = Counter()

    def add(self, message: R) -> None:
        """Add a message that may start from now on."""
        heappush(self._ready.setdefault(message.customer, []), message)
        self._enqueue(message.customer)

    def next(self, may_start: Callable[[R], bool]) -> R | None:
        """Return the message whose turn it is. Messages that may not start after all are dropped."""
        while self._line:
            ready = self._ready[self._line[0]]
            while ready and not may_start(ready[0]):
                heappop(ready)
            if ready:
                return ready[0]
            self._dequeue()
        return None

    def take(self, message: R) -> None:
        """Start the message that `next` returned: it holds a place."""
        heappop(self._ready[message.customer])
        self._dequeue()
        self.hold(message.customer)
        self._enqueue(message.customer)

    def hold(self, customer: str) -> None:
        """Count a place that a message of this customer holds."""
        self._held[customer] += 1

    def release(self, customer: str) -> None:
        """Free a place of this customer."""
        self._held[customer] -= 1
        if not self._held[customer]:
            del self._held[customer]
        self._enqueue(customer)

    def _enqueue(self, customer: str) -> None:
        if customer in self._ready and customer not in self._in_line and self._held[customer] < self._most:
            self._line.append(customer)
            self._in_line.add(customer)

    def _dequeue(self) -> None:
        customer = self._line.popleft()
        self._in_line.remove(customer)
        if not self._ready[customer]:
            del self._ready[customer]
