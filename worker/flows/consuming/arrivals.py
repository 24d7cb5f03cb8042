"""Bodies on their way to one consumer: which of them are kept, and the memory that is set aside for them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from worker.core.message import Announced, Delivery, Unread
from worker.flows.consuming.memory import Memory, Share


@dataclass(frozen=True, eq=False, slots=True)
class Parked:
    """A share for the body of one message; `came`: set when it is used."""

    message_id: str
    size: int
    share: Share
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def is_for(self, announced: Announced) -> bool:
        return (self.message_id, self.size) == (announced.message_id, announced.size)


class Arrivals:
    """The life of one channel. A body for which there is no room is not kept: its message waits in hand without it, and comes again when there is."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._coming: deque[tuple[int, Share]] = deque()
        self._parked: list[Parked] = []
        self._closed = False
        self.ending = asyncio.Event()

    def keep(self, announced: Announced) -> bool:
        """What the channel asks before a body comes."""
        if self._closed:
            return False
        share = self._unpark(announced)
        if share is None and announced.size <= self._memory.largest:
            share = self._memory.body_now(announced.size)
        if share is None:
            return False
        self._coming.append((announced.size, share))
        return True

    def share_of(self, delivery: Delivery) -> Share:
        """The memory of a delivery that has arrived; its settlement releases it."""
        size = len(delivery.message.body)
        for index, (coming, share) in enumerate(self._coming):
            if coming == size:
                del self._coming[index]
                return share
        return Share()

    def park(self, delivery: Delivery, unread: Unread, share: Share) -> Parked:
        """Set a share aside for a message that is about to come again."""
        parked = Parked(delivery.message.message_id, unread.size, share)
        self._parked.append(parked)
        return parked

    def withdraw(self, parked: Parked) -> None:
        """Its message did not come back to us, if the share is still there."""
        if parked in self._parked:
            self._parked.remove(parked)
            parked.share.release()

    def end(self) -> None:
        """Nothing more is wanted from the channel: what waits without its body comes again when the channel closes."""
        self.ending.set()

    def close(self) -> None:
        """The channel is gone: what was on its way does not come."""
        self._closed = True
        self.end()
        for parked in list(self._parked):
            self.withdraw(parked)
        while self._coming:
            self._coming.popleft()[1].release()

    def _unpark(self, announced: Announced) -> Share | None:
        found = next((parked for parked in self._parked if announced.redelivered and parked.is_for(announced)), None)
        if found is None:
            return None
        self._parked.remove(found)
        found.came.set()
        return found.share
