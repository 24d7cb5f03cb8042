"""The evaluator of a worker: a quick lane and a slow lane, each with a standby process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from worker.core.errors import EvaluatorUnavailable
from worker.core.evaluation import Question
from worker.core.health import Health
from worker.evaluator.frames import split_joined
from worker.evaluator.lane import Lane
from worker.evaluator.limits import Limits
from worker.evaluator.process import Process, start_process
from worker.evaluator.question import PendingQuestion, pending_question
from worker.evaluator.wire import value_of
from worker.metrics import Metrics
from worker.waits import waiting_for

logger = structlog.get_logger()
PART: Final = "expressions"
HEAVY: Final = 64 * 1024  # bytes; a larger question goes to the slow lane
SLOW_FOR: Final = 30.0  # seconds for which a slow expression goes directly to the slow lane
RETRY_AFTER: Final = 1.0  # seconds between a failed start and the next start for a question
RESTORED_AFTER: Final = 5.0  # the same without a question, so that the worker becomes ready again
LARGE: Final = 256 * 1024  # bytes encoded or decoded before the event loop runs other tasks


class StandbyProcess:
    """A process that is ready or starting, so that a lane can replace its own without delay."""

    def __init__(self, limits: Limits, health: Health | None) -> None:
        self._limits = limits
        self._health = health
        self._next: asyncio.Task[Process] | None = None
        self._failed = float("-inf")
        self._reason = ""
        self._restoring: asyncio.TimerHandle | None = None

    def prepare(self) -> None:
        """Start a process, unless one is ready or starting."""
        self._next = self._prepared()

    def _prepared(self) -> asyncio.Task[Process]:
        if self._next is not None:
            return self._next
        starting = asyncio.create_task(self._start(), name="evaluator")
        starting.add_done_callback(consume_exception)
        return starting

    async def take(self) -> Process:
        """Return a ready process. Raises `EvaluatorUnavailable`; within a second after a failure it does not try again."""
        while True:
            if self._next is None and asyncio.get_running_loop().time() - self._failed < RETRY_AFTER:
                raise EvaluatorUnavailable(self._reason)
            self._next = starting = self._prepared()
            process = await asyncio.shield(starting)
            self._next = None
            self.prepare()
            if not process.gone.is_set():
                return process
            await process.reap()

    async def _start(self) -> Process:
        try:
            process = await start_process(self._limits)
        except EvaluatorUnavailable as error:
            self._failed, self._reason, self._next = asyncio.get_running_loop().time(), str(error), None
            logger.error("evaluator.unavailable", reason=str(error))
            if self._health is not None:
                self._health.down(PART, str(error))
                self._restoring = asyncio.get_running_loop().call_later(RESTORED_AFTER, self.prepare)
            raise
        if self._health is not None:
            self._health.up(PART, "evaluated in separate processes")
        return process

    async def close(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
        starting, self._next = self._next, None
        if starting is None:
            return
        starting.cancel()
        with suppress(asyncio.CancelledError, EvaluatorUnavailable):
            await (await starting).reap()


def consume_exception(task: asyncio.Task[Process]) -> None:
    """`_start` logs the failure, and not every caller awaits the task."""
    if not task.cancelled():
        task.exception()


class Evaluators:
    """Implements the port `Evaluator`; made by `open_evaluator`."""

    def __init__(self, quick: StandbyProcess, slow: StandbyProcess, metrics: Metrics, memory: int) -> None:
        self.quick = Lane(quick.take, self._send_to_slow_lane, self._place, metrics, memory)
        self.slow = Lane(slow.take, self._send_to_slow_lane, self._place, metrics, memory)
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._encoded = 0
        self._slow_from: dict[bytes, tuple[int, float]] = {}

    async def answer(self, question: Question) -> list[Any]:
        while self._encoded > LARGE:  # noqa: ASYNC110 - it waits for the next turn of the event loop
            await asyncio.sleep(0)
        self._count = (self._count + 1) & 0xFFFFFFFF
        numbers = [self._numbers.setdefault(text, len(self._numbers)) for text in question.expressions]
        one = pending_question(self._count, question, numbers)
        self._count_encoded(one.size)
        one.full = one.size > HEAVY
        self._place(one).put(one)
        with waiting_for("expressions", "its expressions: others come first, or they are slow"):
            rest = await one.answer
        if len(rest) <= LARGE:
            return [value_of(part) for part in split_joined(rest)]
        values = []
        for part in split_joined(rest):
            values.append(value_of(part))
            await asyncio.sleep(0)
        return values

    def _count_encoded(self, size: int) -> None:
        """Count the bytes encoded in this turn of the event loop."""
        if not self._encoded:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._encoded += size

    def _next_turn(self) -> None:
        self._encoded = 0

    def _place(self, one: PendingQuestion) -> Lane:
        """Return the lane: the slow lane for a question that needs it, and for expressions that were recently slow with the same amount of data or less."""
        if one.full:
            return self.slow
        size, until = self._slow_from.get(one.key, (0, 0.0))
        return self.slow if one.size >= size and asyncio.get_running_loop().time() < until else self.quick

    def _send_to_slow_lane(self, one: PendingQuestion) -> None:
        """Ask the question again on the slow lane with the full time limit, and send the same expressions there for a while."""
        size = min(one.size // 2, self._slow_from.get(one.key, (one.size, 0.0))[0])
        self._slow_from[one.key] = (size, asyncio.get_running_loop().time() + SLOW_FOR)
        one.full = True
        self.slow.put(one)


@asynccontextmanager
async def open_evaluator(limits: Limits, metrics: Metrics | None = None, health: Health | None = None) -> AsyncIterator[Evaluators]:
    """An evaluator; its processes end with the block.

    With `health` it starts a process immediately, and readiness waits for it; otherwise the first question starts one.
    """
    reserves = StandbyProcess(limits, health), StandbyProcess(limits, health)
    evaluators = Evaluators(*reserves, metrics or Metrics(), limits.memory)
    if health is not None:
        health.expect(PART)
        reserves[0].prepare()
    lanes = [asyncio.create_task(lane.run(), name="lane") for lane in (evaluators.quick, evaluators.slow)]
    try:
        yield evaluators
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        await asyncio.gather(*(reserve.close() for reserve in reserves))
