"""Decides which arriving bodies one consumer keeps, and reserves memory for them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from worker.core.message import Announced, Delivery, DroppedBody
from worker.flows.consuming.memory import Memory, Share


@dataclass(frozen=True, eq=False, slots=True)
class ReservedBody:
    """A share that is reserved for the body of one message. `arrived`: set when the body takes the share."""

    message_id: str
    size: int
    share: Share
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def is_for(self, announced: Announced) -> bool:
        return (self.message_id, self.size) == (announced.message_id, announced.size)


class Arrivals:
    """The bodies that arrive in the life of one channel.

    Without free memory a body is not kept: its message stays unacknowledged, and comes again with its body once there is memory.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._coming: deque[tuple[int, Share]] = deque()
        self._reserved: list[ReservedBody] = []
        self._closed = False
        self.ending = asyncio.Event()

    def keep(self, announced: Announced) -> bool:
        """Whether to keep a body; True reserves memory for it. The channel asks before the body arrives."""
        if self._closed:
            return False
        share = self._take_reserved(announced)
        if share is None and announced.size <= self._memory.largest:
            share = self._memory.body_now(announced.size)
        if share is None:
            return False
        self._coming.append((announced.size, share))
        return True

    def share_of(self, delivery: Delivery) -> Share:
        """Return the memory of a delivery that has arrived. The settlement of the delivery releases it."""
        size = len(delivery.message.body)
        for index, (coming, share) in enumerate(self._coming):
            if coming == size:
                del self._coming[index]
                return share
        return Share()

    def reserve(self, delivery: Delivery, dropped_body: DroppedBody, share: Share) -> ReservedBody:
        """Reserve a share for a message that is about to come again."""
        reserved = ReservedBody(delivery.message.message_id, dropped_body.size, share)
        self._reserved.append(reserved)
        return reserved

    def withdraw(self, reserved: ReservedBody) -> None:
        """Release the share, unless its message has come back to this worker."""
        if reserved in self._reserved:
            self._reserved.remove(reserved)
            reserved.share.release()

    def end(self) -> None:
        """Take nothing more from the channel. When it closes, the broker delivers the messages that wait without their bodies again."""
        self.ending.set()

    def close(self) -> None:
        """Release all memory: the channel is closed, and no further body arrives."""
        self._closed = True
        self.end()
        for reserved in list(self._reserved):
            self.withdraw(reserved)
        while self._coming:
            self._coming.popleft()[1].release()

    def _take_reserved(self, announced: Announced) -> Share | None:
        found = next((reserved for reserved in self._reserved if announced.redelivered and reserved.is_for(announced)), None)
        if found is None:
            return None
        self._reserved.remove(found)
        found.arrived.set()
        return found.share
