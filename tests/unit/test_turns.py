"""On the slow lane expressions have turns: one with many slow messages holds up its own."""

from __future__ import annotations

import asyncio

from worker.evaluator.question import Asked
from worker.evaluator.turns import Turns


async def test_an_expression_with_a_backlog_lets_another_one_in_after_one_of_its_own():
    def asked(number: int, key: bytes) -> Asked:
        return Asked(number, {}, key, b"", asyncio.get_running_loop().create_future(), full=True)

    turns = Turns()
    for number in range(5):
        turns.append(asked(number, b"hostile"))
    turns.append(asked(5, b"innocent"))
    turns.appendleft(asked(6, b"hostile"))
    order = []
    while turns:
        order.append(turns.popleft().number)
    assert order == [6, 5, 0, 1, 2, 3, 4]
