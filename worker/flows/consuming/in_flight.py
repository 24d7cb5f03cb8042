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
class Execution:
    """A handler's run for one delivery, in the consumer's `session` (one channel's life)."""

    key: Hashable
    session: int
    task: asyncio.Task[Outcome]
    settlement: Settlement | None = None
    """What was carried out: its copy is in the retry or dead queue, and only the ack is missing."""


class InFlight:
    """The runs of one consumer. Runs live in `tasks`, which outlives every channel."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._running: dict[Hashable, deque[Execution]] = {}
        self._orphans: deque[Execution] = deque()

    def adopt(self, key: Hashable, session: int) -> Execution | None:
        """The execution of an earlier session for the same message, to be settled by its redelivered copy; None when there is none."""
        for execution in self._running.get(key, ()):
            if execution.session < session:
                execution.session = session
                if execution in self._orphans:
                    self._orphans.remove(execution)
                return execution
        return None

    def running(self, key: Hashable, session: int) -> bool:
        """Whether `adopt` would find one."""
        return any(execution.session < session for execution in self._running.get(key, ()))

    def start(self, key: Hashable, session: int, handling: Coroutine[Any, Any, Outcome]) -> Execution:
        execution = Execution(key, session, self._tasks.create_task(handling))
        self._running.setdefault(key, deque()).append(execution)
        return execution

    def settled(self, execution: Execution) -> None:
        """Its message is off the queue (or in another): nothing will ask for the result again."""
        runs = self._running[execution.key]
        runs.remove(execution)
        if not runs:
            del self._running[execution.key]

    def unsettled(self, execution: Execution, session: int) -> None:
        """The channel of `session` was lost: the result is kept for the redelivered copy, unless that has come already."""
        if execution.session != session:
            return
        self._orphans.append(execution)
        if len(self._orphans) > KEPT:
            self.settled(self._orphans.popleft())
