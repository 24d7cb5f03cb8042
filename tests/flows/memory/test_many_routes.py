"""What a route takes of memory does not grow with the number of its neighbours."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.tools.job import publisher, routes

FEW, SOME, MANY = 10, 90, 330
MOST = 1.3
"""Times what a route takes among few; where each had held the names of all queues, it was twice as much and more."""


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.long  # `make bench` measures the whole: the memory of 2,000 routes
async def test_a_route_among_many_takes_as_much_memory_as_one_among_few(traced, memory_job, halos):
    url = await halos(tickets=0)
    taken = {}
    for count in (FEW, SOME, MANY):
        publishers = {f"p-{number}": publisher(queue=f"work.{number}") for number in range(count)}
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        running = await memory_job.start(routes(url, publishers=publishers))
        gc.collect()
        taken[count] = tracemalloc.get_traced_memory()[0] - before
        await running.stop()
    few, many = ((taken[high] - taken[low]) / (high - low) for low, high in ((FEW, SOME), (SOME, MANY)))
    assert many < few * MOST, taken
