"""A lane: questions wait in it, and one process after the other answers them in batches. What a process dies of is blamed on the question that it was at, on no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from worker.core.errors import EvaluatorUnavailable, ExpressionFailed
from worker.evaluator.frames import COUNT, Kind
from worker.evaluator.process import Death, Process
from worker.evaluator.question import Asked
from worker.evaluator.turns import Turns
from worker.metrics import Metrics

logger = structlog.get_logger()
BATCH: Final = 64  # questions that a process has at once
BATCH_BYTES: Final = 256 * 1024
LOOK_EVERY: Final = 1.0
STUCK_AFTER: Final = 30.0  # seconds without any progress; CPU time ends an evaluation long before, unless its process does not run at all
DEATHS: Final = 3  # of processes that took the same question with them for no known reason: then it is not asked again


class Lane:
    """`take`: the next process; `refer`: takes a question that was too slow, or broke its process, under the limits of QUICK; `place`: where a question belongs by now."""

    def __init__(
        self, take: Callable[[], Awaitable[Process]], refer: Callable[[Asked], None], place: Callable[[Asked], Lane], metrics: Metrics, memory: int
    ) -> None:
        self._take = take
        self._place = place
        self._refer = refer
        self._metrics = metrics
        self._memory = memory
        self._waiting: deque[Asked] = deque()
        self._tried = Turns()
        self._in_flight: deque[Asked] = deque()
        self._some = asyncio.Event()
        self._process: Process | None = None
        self._scheduled = False

    def put(self, asked: Asked) -> None:
        """Those that get all the time wait behind all others."""
        (self._tried if asked.full else self._waiting).append(asked)
        self._some.set()
        if self._process is not None and not self._in_flight and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    async def run(self) -> None:
        """Answer, for as long as this is awaited."""
        while True:
            await self._some.wait()
            self._some.clear()
            if not self._waiting and not self._tried:
                continue
            try:
                process = await self._take()
            except EvaluatorUnavailable as error:
                self._refuse(error)
                continue
            death = await self._served_by(process)
            self._bury(death)
            if self._waiting or self._tried:
                self._some.set()

    async def _served_by(self, process: Process) -> Death:
        """How the process ended."""
        process.on_answer, process.on_batch = self._answered, self._send
        self._process = process
        stuck = False
        try:
            self._send()
            seen, since = process.progress, asyncio.get_running_loop().time()
            while not stuck and not process.gone.is_set():
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        await process.gone.wait()
                except TimeoutError:
                    now = asyncio.get_running_loop().time()
                    if not self._in_flight or process.progress != seen:
                        seen, since = process.progress, now
                    stuck = now - since > STUCK_AFTER
        finally:
            process.on_answer = process.on_batch = self._process = None
            death = await asyncio.shield(process.reap(stopped=stuck))
        return death

    def _send(self) -> None:
        """The next batch, once the last one is answered."""
        self._scheduled = False
        if self._process is None or self._in_flight:
            return
        parts: list[bytes] = []
        size = 0
        while len(self._in_flight) < BATCH and size < BATCH_BYTES and (asked := self._next()) is not None:
            self._in_flight.append(asked)
            parts += asked.frames(self._process)
            size += asked.size
            if asked.full:
                break
        if parts:
            self._process.write(b"".join(parts))

    def _next(self) -> Asked | None:
        """Nobody waits any more for what was cancelled, and the like of what was found slow meanwhile goes elsewhere."""
        for queue in (self._waiting, self._tried):
            while queue and not (self._in_flight and queue is self._tried):
                asked = queue.popleft()
                if asked.answer.done():
                    continue
                if (lane := self._place(asked)) is self:
                    return asked
                lane.put(asked)
        return None

    def _answered(self, kind: int, number: int, rest: bytes) -> None:
        asked = self._in_flight.popleft()
        if asked.number != number:
            raise RuntimeError("an evaluator answers another question than it was asked")
        match kind:
            case Kind.VALUES:
                asked.succeed(rest)
            case Kind.SLOW:
                self._refer(asked)
            case _:
                if kind == Kind.LATE:
                    self._metrics.expressions_stopped.labels("time").inc()
                (index,) = COUNT.unpack_from(rest)
                asked.fail(ExpressionFailed(rest[COUNT.size :].decode(), index))

    def _bury(self, death: Death) -> None:
        """Judge the question that the process was at; the others in its hands were not answered yet, and are asked again."""
        culprit = next((asked for asked in self._in_flight if asked.number == death.number), None)
        innocent = [asked for asked in self._in_flight if asked is not culprit]
        self._in_flight.clear()
        self._metrics.evaluator_restarts.labels(death.cause).inc()
        if death.cause != "retired":
            logger.warning("evaluator.ended", cause=death.cause, reason=death.detail, asked_again=len(innocent))
        if culprit is not None:
            innocent += self._judged(culprit, death)
        elif death.cause != "retired":
            innocent = [asked for asked in innocent if self._may_go_on(asked, death)]
        self._again(innocent)

    def _may_go_on(self, asked: Asked, death: Death) -> bool:
        """Which question it was cannot be told: each is asked again, but not for ever."""
        asked.deaths += 1
        if asked.deaths < DEATHS:
            return True
        asked.fail(EvaluatorUnavailable(f"processes for expressions end again and again: {death.detail}"))
        return False

    def _judged(self, culprit: Asked, death: Death) -> Iterable[Asked]:
        """Yields it where it is to be asked again as if nothing had been."""
        if death.cause in {"killed", "retired"} and culprit.deaths + 1 < DEATHS:
            culprit.deaths += 1
            return (culprit,)
        if not culprit.full:
            self._refer(culprit)
            return ()
        self._metrics.expressions_stopped.labels(death.cause).inc()
        culprit.fail(ExpressionFailed(self._sentence(death), death.index))
        return ()

    def _sentence(self, death: Death) -> str:
        match death.cause:
            case "time":
                return "it took longer than allowed (D1012)"
            case "memory":
                return f"it took more memory than allowed ({self._memory} MiB)"
            case _:
                return f"the expression engine failed on it ({death.detail})"

    def _again(self, asked: Iterable[Asked]) -> None:
        for each in sorted(asked, key=lambda one: one.number, reverse=True):
            (self._tried if each.full else self._waiting).appendleft(each)

    def _refuse(self, error: EvaluatorUnavailable) -> None:
        for queue in (self._waiting, self._tried):
            while queue:
                queue.popleft().fail(EvaluatorUnavailable(str(error)))
