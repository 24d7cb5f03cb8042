"""The queue of questions with the full time limit. It is fair between expressions: many slow messages of one expression do not delay another."""

from __future__ import annotations

from collections import deque

from worker.evaluator.question import PendingQuestion


class FairQueue:
    """One queue for each set of expressions, in round-robin order."""

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[PendingQuestion]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def append(self, asked: PendingQuestion) -> None:
        self._queues.setdefault(asked.key, deque()).append(asked)

    def appendleft(self, asked: PendingQuestion) -> None:
        """Put the question first in its own queue; the order of the queues does not change."""
        self._queues.setdefault(asked.key, deque()).appendleft(asked)

    def popleft(self) -> PendingQuestion:
        """Return the next question, and move its queue behind all others."""
        key = next(iter(self._queues))
        queue = self._queues.pop(key)
        asked = queue.popleft()
        if queue:
            self._queues[key] = queue
        return asked
