"""A message goes one way through few files, and the documentation names them."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.tools.job import publisher, routes
from tests.tools.path import traced

MOST_FILES = 25
PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "life-of-a-message.md"


@pytest.mark.parametrize("job", ["rabbitmq"], indirect=True)
async def test_a_create_goes_down_through_at_most_25_files_and_never_up(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"assets": publisher()}))
    await job.other.send({"payload": {"inventory_number": "SN-1"}})
    await running.settled("assets", "done")
    with traced("assets") as found:
        await job.other.send({"payload": {"inventory_number": "SN-2"}})
        await running.settled("assets", "done", 2)
    assert found.ended, "the message was followed to its request"
    assert len(found.files) <= MOST_FILES, found.files
    callers: dict[str, set[str]] = {}
    for above, below in found.hops:
        callers.setdefault(below, set()).add(above)
    assert list(TopologicalSorter(callers).static_order()), "a file that calls back what called it would raise CycleError"
    named = re.findall(r"worker/([\w/]+\.py)", PAGE.read_text("utf-8").split("## The files of this path")[1].split("\n## ")[0])
    assert sorted(named) == sorted(found.files), "docs/concepts/life-of-a-message.md names the files of the path"
