"""Whatever an expression does on whatever data: the worker lives, its loop is not held up, and those beside it get their answers."""

from __future__ import annotations

import asyncio
import functools
import gc
import time
from contextlib import asynccontextmanager

import orjson
import pytest

from tests.evaluator.hostile import Hostile, hostile
from tests.tools.sizes import every_nth
from worker.core.errors import ExpressionFailed
from worker.core.evaluation import Question

AT_ONCE = 8
COUNT = 226
STARTS = range(0, COUNT, AT_ONCE)
STEP = 7


def batch(start: int) -> list[Hostile]:
    """The expressions that are asked at once."""
    return hostile()[start : start + AT_ONCE]


@functools.cache
def one_message() -> float:
    """Seconds of CPU that this machine takes to write and read the largest of these contexts once, which no worker can do in several turns of its loop."""
    largest = max((each.context for each in hostile() if isinstance(each.context, list)), key=len)
    began = time.thread_time()
    orjson.loads(orjson.dumps(largest))
    return time.thread_time() - began


@asynccontextmanager
async def watched_loop():
    """Yields the longest time that this thread has worked without a turn for others: its own CPU time, since the machine may be busy with something else."""
    gc.collect()
    gc.freeze()  # what pytest has gathered is not the worker's to walk through
    longest, began = [0.0], time.thread_time()

    async def tick():
        nonlocal began
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], time.thread_time() - began)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield longest
    finally:
        ticking.cancel()


def test_there_are_two_hundred_and_each_is_another():
    assert len(hostile()) == COUNT >= 200
    assert len({(each.text, str(each.context)) for each in hostile()}) == COUNT
    assert {each.kind for each in hostile()} == {"time", "memory", "depth", "panic", "abort"}
    assert {each.kind for start in STARTS[::STEP] for each in batch(start)} == {each.kind for each in hostile()}, "the short suite tries each kind"


@pytest.mark.parametrize("start", every_nth(STEP, STARTS))
async def test_it_ends_in_a_value_or_a_sentence_and_nobody_else_notices(start, evaluator):
    neighbours = 0

    async def neighbour():
        nonlocal neighbours
        while True:
            neighbours += 1
            assert await evaluator.answer(Question(("n + 1", "$uppercase(name)"), {"n": neighbours, "name": "ann"}, {})) == [neighbours + 1, "ANN"]
            await asyncio.sleep(0.01)

    beside = asyncio.create_task(neighbour())
    async with watched_loop() as longest:
        results = await asyncio.gather(*(evaluator.answer(Question((each.text,), each.context, {})) for each in batch(start)), return_exceptions=True)
        before = neighbours
        while neighbours == before and not beside.done():  # noqa: ASYNC110  the neighbour is asking all the time
            await asyncio.sleep(0.01)
    assert not beside.done(), beside.exception()
    beside.cancel()
    assert [(str(each), result) for each, result in zip(batch(start), results, strict=True) if not isinstance(result, (list, ExpressionFailed))] == []
    assert all(str(result) for result in results)
    assert longest[0] < 4 * one_message(), "no turn takes as long as a few large messages by themselves; an evaluation in the worker would take seconds"
    assert await evaluator.answer(Question(("1 + 1",), None, {})) == [2]
