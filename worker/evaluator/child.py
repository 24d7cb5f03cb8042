"""The evaluator process: it reads questions from a socket and answers them in order, until the socket closes or an evaluation ends the process.

It imports little, so that it starts quickly. Neither its environment nor its arguments hold secrets. The kernel ends it when an evaluation takes too much
CPU time, also after the worker is gone.
"""

from __future__ import annotations

import gc
import mmap
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.core.errors import ExpressionError
from worker.core.exact_numbers import loads
from worker.core.lookups import LookupAnswer
from worker.evaluator.frames import COUNT, LENGTH, PROGRESS, FrameKind, Frames, frame, joined
from worker.evaluator.jsonata import EvaluationInput, Expression, TimedOut
from worker.evaluator.limits import HARD_FACTOR, QUICK, QUICK_MEMORY, Limits
from worker.evaluator.wire import part_of, unpack_answers

CHUNK = 256 * 1024  # bytes of one read
FLUSH_AFTER = 0.002  # maximum seconds that an answer waits for the next one
FAIR_SHARE = 0.8  # of the time limit: a timeout with less CPU time than this means a busy machine, not a slow evaluation
MAX_TRIES = 4  # on a busy machine
GROWTH_PART = 4  # the worker replaces a process that keeps more than the memory limit divided by this
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EvaluationScope:
    """The values that the expressions of one question see."""

    context: Any
    bindings: Mapping[str, Any]
    answers: Mapping[str, LookupAnswer]


class Evaluations:
    """Answers one question after the other."""

    def __init__(self, progress: mmap.mmap, limits: Limits) -> None:
        self._progress = progress
        self._expressions: dict[int, Expression] = {}
        self._slow: dict[bytes, int] = {}
        self._base = address_space()
        self._limits = limits
        self._limited = 0
        self._grown = False

    def define(self, number: int, text: str) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)  # the timer of the last evaluation must not end the compilation
        self._expressions[number] = Expression(text)

    def read_all(self) -> None:
        """Mark the end of a batch: the next batch may retry evaluations that were slow in this one."""
        self._slow.clear()

    @property
    def outgrown(self) -> bool:
        """Whether the process keeps so much memory that the next evaluation could reach the memory limit."""
        grown, self._grown = self._grown, False
        return grown and address_space() - self._base > self._limits.memory * MIB // GROWTH_PART

    def answer(self, kind: int, number: int, rest: bytes) -> bytes:
        """Return the frame of the answer. An exception ends the process."""
        quick = kind == FrameKind.QUICK
        self._grown = self._grown or not quick
        (count,) = COUNT.unpack_from(rest)
        ids = rest[COUNT.size : COUNT.size + count * LENGTH.size]
        if quick and len(rest) >= self._slow.get(ids, sys.maxsize):
            return frame(FrameKind.SLOW, number)
        PROGRESS.pack_into(self._progress, 0, number, 0)
        limit = QUICK if quick else self._limits.seconds
        self._limit_memory(min(QUICK_MEMORY, self._limits.memory) if quick else self._limits.memory)
        signal.setitimer(signal.ITIMER_PROF, limit * HARD_FACTOR)
        start = COUNT.size + len(ids)
        (length,) = LENGTH.unpack_from(rest, start)
        start += LENGTH.size
        bindings, answers = loads(rest[start + length :])
        scope = EvaluationScope(rest[start : start + length], bindings, unpack_answers(answers))
        expressions = [self._expressions[each] for (each,) in LENGTH.iter_unpack(ids)]
        done: list[bytes] = []
        try:
            self._evaluate(number, expressions, scope, limit, done, tries=1 if quick else MAX_TRIES)
        except TimedOut as error:
            if quick:
                self._slow[ids] = min(len(rest) // 2, self._slow.get(ids, sys.maxsize))
                return frame(FrameKind.SLOW, number)
            return frame(FrameKind.LATE, number, COUNT.pack(len(done)), str(error).encode())
        except ExpressionError as error:
            return frame(FrameKind.FAILED, number, COUNT.pack(len(done)), str(error).encode())
        return frame(FrameKind.VALUES, number, joined(done))

    def _evaluate(self, number: int, expressions: Sequence[Expression], scope: EvaluationScope, limit: float, done: list[bytes], tries: int) -> None:
        """Fill `done` in order. Raises `ExpressionError`, `TimedOut`."""
        while True:
            tries, began = tries - 1, time.process_time()
            try:
                given = EvaluationInput(scope.context, limit, scope.answers)
                for index, expression in enumerate(expressions[len(done) :], start=len(done)):
                    PROGRESS.pack_into(self._progress, 0, number, index)
                    done.append(part_of(expression.evaluate(given, scope.bindings)))
            except TimedOut:
                if not tries or time.process_time() - began > self._limits.seconds * FAIR_SHARE:
                    raise
                limit *= 2
            else:
                return

    def _limit_memory(self, mebibytes: int) -> None:
        if mebibytes != self._limited:
            self._limited = mebibytes
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (self._base + mebibytes * MIB, hard))


def address_space() -> int:
    """The address space of this process, in bytes."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * mmap.PAGESIZE


def serve(connection: socket.socket, evaluations: Evaluations) -> None:
    """Answer until the worker closes the socket, or this process has grown too large."""
    frames, answers, flushed = Frames(), bytearray(), 0.0
    connection.sendall(frame(FrameKind.READY, 0))
    while data := connection.recv(CHUNK):
        flushed = time.monotonic()
        for kind, number, rest in frames.feed(data):
            if kind == FrameKind.DEFINE:
                evaluations.define(number, rest.decode())
                continue
            answers += evaluations.answer(kind, number, rest)
            if time.monotonic() - flushed > FLUSH_AFTER:
                connection.sendall(answers)
                answers.clear()
                flushed = time.monotonic()
        connection.sendall(answers)
        answers.clear()
        signal.setitimer(signal.ITIMER_PROF, 0)
        evaluations.read_all()
        if evaluations.outgrown:
            return


def main() -> None:
    """Run the process. Arguments: the descriptors of the socket and of the shared memory, and the MiB and seconds that an evaluation may take."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the worker ends it
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold customer data
    gc.disable()  # JSON has no cycles
    socket_number, progress_number = map(int, sys.argv[1:3])
    limits = Limits(int(sys.argv[3]), float(sys.argv[4]))
    with suppress(ConnectionError), socket.socket(fileno=socket_number) as connection, mmap.mmap(progress_number, PROGRESS.size) as progress:
        serve(connection, Evaluations(progress, limits))  # without a connection the worker is gone


if __name__ == "__main__":
    main()
