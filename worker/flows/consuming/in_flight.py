"""Handlers in flight: each outlives its channel, and a redelivered copy waits for the result of the first delivery instead of running again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Hashable
from dataclasses import dataclass, field

from worker.core.outcome import Outcome
from worker.core.settlement import Settlement

KEPT = 1000  # results whose redelivery never came (another replica had it) are dropped, oldest first


@dataclass(slots=True, eq=False)
class Execution:
    """A handler's run for one delivery, in the consumer's `session` (one channel's life).

    `settlement`: what was carried out. Its copy is in the retry or dead-letter queue, and only the acknowledgement is missing.
    """

    key: Hashable
    session: int
    settlement: Settlement | None = None
    _outcome: Outcome | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, handling: Awaitable[Outcome]) -> Outcome:
        """The outcome, for this delivery and for a copy that waits for it."""
        self._outcome = await handling
        self._ended.set()
        return self._outcome

    async def outcome(self) -> Outcome:
        """The outcome of the run, once it has ended."""
        await self._ended.wait()
        if self._outcome is None:
            raise RuntimeError("an execution ends with an outcome")
        return self._outcome


class InFlight:
    """The executions of one consumer."""

    def __init__(self) -> None:
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

    def start(self, key: Hashable, session: int) -> Execution:
        execution = Execution(key, session)
        self._running.setdefault(key, deque()).append(execution)
        return execution

    def settled(self, execution: Execution) -> None:
        """Its message is off the queue (or in another): no copy will ask for the result."""
        executions = self._running[execution.key]
        executions.remove(execution)
        if not executions:
            del self._running[execution.key]

    def unsettled(self, execution: Execution, session: int) -> None:
        """The channel of `session` was lost: the result is kept for the redelivered copy, unless that has come already."""
        if execution.session != session:
            return
        self._orphans.append(execution)
        if len(self._orphans) > KEPT:
            self.settled(self._orphans.popleft())
