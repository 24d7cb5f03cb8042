"""Messages in hand: what runs goes on when its channel dies, and the redelivered copy waits for that result instead of doing it again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable
from dataclasses import dataclass
from typing import Any

from worker.core.outcome import Outcome
from worker.core.settlement import Settlement

KEPT = 1000  # results whose redelivery never came (another replica had it) are dropped, oldest first


@dataclass(slots=True)
class Work:
    """A handler's run for one delivery, in the consumer's `session` (one channel's life)."""

    key: Hashable
    session: int
    task: asyncio.Task[Outcome]
    settlement: Settlement | None = None
    """What was carried out: its copy is in the retry or dead queue, and only the ack is missing."""


class InHand:
    """The runs of one consumer. Runs live in `tasks`, which outlives every channel."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: dict[Hashable, deque[Work]] = {}
        self._orphans: deque[Work] = deque()

    def adopt(self, key: Hashable, session: int) -> Work | None:
        """The run of an earlier session for the same message, to be settled by its redelivered copy; None when there is none."""
        for work in self._running.get(key, ()):
            if work.session < session:
                work.session = session
                if work in self._orphans:
                    self._orphans.remove(work)
                return work
        return None

    def start(self, key: Hashable, session: int, run: Coroutine[Any, Any, Outcome]) -> Work:
        work = Work(key, session, self._tasks.create_task(run))
        self._running.setdefault(key, deque()).append(work)
        return work

    def settled(self, work: Work) -> None:
        """Its message is off the queue (or in another): nothing will ask for the result again."""
        runs = self._running[work.key]
        runs.remove(work)
        if not runs:
            del self._running[work.key]

    def unsettled(self, work: Work, session: int) -> None:
        """The channel of `session` was lost: the result is kept for the redelivered copy, unless that has come already."""
        if work.session != session:
            return
        self._orphans.append(work)
        if len(self._orphans) > KEPT:
            self.settled(self._orphans.popleft())
