"""A question in the lanes: it is encoded once, sent again when a process ends, and answered once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.core.errors import ExpressionError, ExpressionFailed
from worker.core.evaluation import Question
from worker.evaluator.frames import COUNT, LENGTH, FrameKind, frame
from worker.evaluator.process import Process
from worker.evaluator.sizes import context_json
from worker.evaluator.wire import pack_answers


@dataclass(slots=True, eq=False)
class PendingQuestion:
    """`texts`: its expressions by number; `full`: whether it has the full limits; `exits`: process ends of unknown cause while it was in flight."""

    number: int
    texts: dict[int, str]
    key: bytes
    body: bytes
    answer: asyncio.Future[bytes]
    full: bool = False
    exits: int = field(default=0)

    @property
    def size(self) -> int:
        return len(self.body)

    def frames(self, process: Process) -> list[bytes]:
        """Return the frames for this process: the expressions that it does not know yet, and the question."""
        new = [frame(FrameKind.DEFINE, number, text.encode()) for number, text in self.texts.items() if number not in process.defined]
        process.defined |= self.texts.keys()
        return [*new, frame(FrameKind.FULL if self.full else FrameKind.QUICK, self.number, self.key, self.body)]

    def succeed(self, rest: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(rest)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def pending_question(number: int, question: Question, numbers: Sequence[int]) -> PendingQuestion:
    """Return a pending question. `numbers`: of its expressions. Raises `ExpressionFailed` for a context that cannot be sent."""
    try:
        context, bindings = context_json(question.context), context_json([dict(question.bindings), pack_answers(question.answers)])
    except ExpressionError as error:
        raise ExpressionFailed(str(error), 0) from None
    key = COUNT.pack(len(numbers)) + b"".join(map(LENGTH.pack, numbers))
    body = LENGTH.pack(len(context)) + context + bindings
    return PendingQuestion(number, dict(zip(numbers, question.expressions, strict=True)), key, body, asyncio.get_running_loop().create_future())
