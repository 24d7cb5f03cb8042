"""The slow lane is fair between expressions: one with many slow messages delays only its own."""

from __future__ import annotations

import asyncio

from worker.evaluator.fair_queue import FairQueue
from worker.evaluator.question import PendingQuestion


async def test_an_expression_with_a_backlog_lets_another_one_in_after_one_of_its_own():
    def asked(number: int, key: bytes) -> PendingQuestion:
        return PendingQuestion(number, {}, key, b"", asyncio.get_running_loop().create_future(), full=True)

    queue = FairQueue()
    for number in range(5):
        queue.append(asked(number, b"hostile"))
    queue.append(asked(5, b"innocent"))
    queue.appendleft(asked(6, b"hostile"))
    order = []
    while queue:
        order.append(queue.popleft().number)
    assert order == [6, 5, 0, 1, 2, 3, 4]
