"""Limits the bodies that the worker takes ahead of their move."""

from __future__ import annotations

from worker.core.message import Announced
from worker.flows.consuming.arrivals import ReservedBody

MAX_READ_AHEAD = 4 * 1024 * 1024  # bytes


class ReadAhead:
    """The bodies of one channel: the first body always, further bodies while they are not too large together.

    `alone`: memory for a message that is too large and that the broker must not dead-letter. The message comes again with its body, and is buried as a copy.
    """

    def __init__(self, largest: int, alone: ReservedBody | None = None) -> None:
        self._largest = largest
        self._alone = alone
        self._size = 0

    def keep(self, announced: Announced) -> bool:
        """Whether to keep a body. The channel asks before the body arrives."""
        if self._alone is not None and self._alone.is_for(announced):
            self._size += announced.size
            return True
        if announced.size > self._largest or (self._size and self._size + announced.size > MAX_READ_AHEAD):
            return False
        self._size += announced.size
        return True

    def settled(self, size: int) -> None:
        """Stop counting a body of this size: its message has left the queue, or is back in it."""
        self._size -= size
