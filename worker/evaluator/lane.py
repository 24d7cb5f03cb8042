"""A lane: a queue of questions that one process answers in batches. When a process ends, only the question under evaluation can fail."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from worker.core.errors import EvaluatorUnavailable, ExpressionFailed
from worker.evaluator.fair_queue import FairQueue
from worker.evaluator.frames import COUNT, FrameKind
from worker.evaluator.process import Process, ProcessExit
from worker.evaluator.question import PendingQuestion
from worker.metrics import Metrics

logger = structlog.get_logger()
BATCH: Final = 64  # maximum questions in flight
BATCH_BYTES: Final = 256 * 1024
PROGRESS_INTERVAL: Final = 1.0
STUCK_AFTER: Final = 30.0  # seconds without progress; the CPU limit ends an evaluation long before, unless the process does not run at all
MAX_EXITS: Final = 3  # of processes with the same question in flight and no known cause: the question then fails


class Lane:
    """`take`: returns the next process; `refer`: takes a question that was too slow for QUICK or ended its process; `place`: returns a question's lane."""

    def __init__(
        self,
        take: Callable[[], Awaitable[Process]],
        refer: Callable[[PendingQuestion], None],
        place: Callable[[PendingQuestion], Lane],
        metrics: Metrics,
        memory: int,
    ) -> None:
        self._take_process = take
        self._place = place
        self._send_to_slow_lane = refer
        self._metrics = metrics
        self._memory = memory
        self._waiting: deque[PendingQuestion] = deque()
        self._full = FairQueue()
        self._in_flight: deque[PendingQuestion] = deque()
        self._some = asyncio.Event()
        self._process: Process | None = None
        self._scheduled = False

    def put(self, question: PendingQuestion) -> None:
        """Queue a question. Questions with the full time limit wait behind all others."""
        (self._full if question.full else self._waiting).append(question)
        self._some.set()
        if self._process is not None and not self._in_flight and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    async def run(self) -> None:
        """Answer questions until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            if not self._waiting and not self._full:
                continue
            try:
                process = await self._take_process()
            except EvaluatorUnavailable as error:
                self._fail_all(error)
                continue
            process_exit = await self._served_by(process)
            self._handle_exit(process_exit)
            if self._waiting or self._full:
                self._some.set()

    async def _served_by(self, process: Process) -> ProcessExit:
        """Use one process until it ends."""
        process.on_answer, process.on_batch = self._answered, self._send
        self._process = process
        stuck = False
        try:
            self._send()
            seen, since = process.progress, asyncio.get_running_loop().time()
            while not stuck and not process.gone.is_set():
                try:
                    async with asyncio.timeout(PROGRESS_INTERVAL):
                        await process.gone.wait()
                except TimeoutError:
                    now = asyncio.get_running_loop().time()
                    if not self._in_flight or process.progress != seen:
                        seen, since = process.progress, now
                    stuck = now - since > STUCK_AFTER
        finally:
            process.on_answer = process.on_batch = self._process = None
            process_exit = await asyncio.shield(process.reap(stopped=stuck))
        return process_exit

    def _send(self) -> None:
        """Send the next batch after the last one is answered."""
        self._scheduled = False
        if self._process is None or self._in_flight:
            return
        parts: list[bytes] = []
        size = 0
        while len(self._in_flight) < BATCH and size < BATCH_BYTES and (question := self._next()) is not None:
            self._in_flight.append(question)
            parts += question.frames(self._process)
            size += question.size
            if question.full:
                break
        if parts:
            self._process.write(b"".join(parts))

    def _next(self) -> PendingQuestion | None:
        """Return the next question for this lane. It skips cancelled questions, and moves questions whose expressions turned out slow meanwhile."""
        for queue in (self._waiting, self._full):
            while queue and not (self._in_flight and queue is self._full):
                question = queue.popleft()
                if question.answer.done():
                    continue
                if (lane := self._place(question)) is self:
                    return question
                lane.put(question)
        return None

    def _answered(self, kind: int, number: int, rest: bytes) -> None:
        if not self._in_flight or self._in_flight[0].number != number:
            raise RuntimeError("an evaluator answers another question than it was asked")  # this ends the connection, and the lane asks the questions again
        question = self._in_flight.popleft()
        match kind:
            case FrameKind.VALUES:
                question.succeed(rest)
            case FrameKind.SLOW:
                self._send_to_slow_lane(question)
            case _:
                if kind == FrameKind.LATE:
                    self._metrics.expressions_stopped.labels("time").inc()
                (index,) = COUNT.unpack_from(rest)
                question.fail(ExpressionFailed(rest[COUNT.size :].decode(), index))

    def _handle_exit(self, process_exit: ProcessExit) -> None:
        """Decide about the question under evaluation, and ask the others in flight again."""
        running = next((question for question in self._in_flight if question.number == process_exit.number), None)
        others = [question for question in self._in_flight if question is not running]
        self._in_flight.clear()
        self._metrics.evaluator_restarts.labels(process_exit.cause).inc()
        if process_exit.cause != "retired":
            logger.warning("evaluator.ended", cause=process_exit.cause, reason=process_exit.detail, asked_again=len(others))
        if running is not None:
            others += self._outcome_of(running, process_exit)
        elif process_exit.cause != "retired":
            others = [question for question in others if self._may_retry(question, process_exit)]
        self._requeue(others)

    def _may_retry(self, question: PendingQuestion, process_exit: ProcessExit) -> bool:
        """Whether the lane may ask a question again. The question under evaluation is unknown, so the lane asks each again, at most MAX_EXITS times."""
        question.exits += 1
        if question.exits < MAX_EXITS:
            return True
        question.fail(EvaluatorUnavailable(f"processes for expressions end again and again: {process_exit.detail}"))
        return False

    def _outcome_of(self, running: PendingQuestion, process_exit: ProcessExit) -> Iterable[PendingQuestion]:
        """Return the question if this lane asks it again."""
        if process_exit.cause in {"killed", "retired"} and running.exits + 1 < MAX_EXITS:
            running.exits += 1
            return (running,)
        if not running.full:
            self._send_to_slow_lane(running)
            return ()
        self._metrics.expressions_stopped.labels(process_exit.cause).inc()
        running.fail(ExpressionFailed(self._reason(process_exit), process_exit.index))
        return ()

    def _reason(self, process_exit: ProcessExit) -> str:
        match process_exit.cause:
            case "time":
                return "it took longer than allowed (D1012)"
            case "memory":
                return f"it took more memory than allowed ({self._memory} MiB)"
            case _:
                return f"the expression engine failed on it ({process_exit.detail})"

    def _requeue(self, question: Iterable[PendingQuestion]) -> None:
        for each in sorted(question, key=lambda one: one.number, reverse=True):
            (self._full if each.full else self._waiting).appendleft(each)

    def _fail_all(self, error: EvaluatorUnavailable) -> None:
        for queue in (self._waiting, self._full):
            while queue:
                queue.popleft().fail(EvaluatorUnavailable(str(error)))
