"""Questions that wait for all the time that an evaluation may take: the expressions have turns, so that one with many slow messages does not hold up another."""

from __future__ import annotations

from collections import deque

from worker.evaluator.question import Asked


class Turns:
    """A queue for each set of expressions; the sets are served in turn."""

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Asked]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def append(self, asked: Asked) -> None:
        self._queues.setdefault(asked.key, deque()).append(asked)

    def appendleft(self, asked: Asked) -> None:
        """Before its like; its turn comes as theirs does."""
        self._queues.setdefault(asked.key, deque()).appendleft(asked)

    def popleft(self) -> Asked:
        """The next in turn; its like then waits behind all others."""
        key = next(iter(self._queues))
        queue = self._queues.pop(key)
        asked = queue.popleft()
        if queue:
            self._queues[key] = queue
        return asked
