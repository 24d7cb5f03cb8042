"""An iteration outlives its workers: killed over and over, no element is left out, none is repeated that was finished, and memory stays flat."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.flows.runbooks.conftest import api  # noqa: F401 - a fixture: an API whose answers the test writes
from tests.tools.large import large
from tests.tools.waiting import until
from worker.core.topology import dead_queue, lanes_queue
from worker.flows.running.run_message import run_queue

GO, RUN = "go", run_queue("rb")
MEBIBYTE = 1024 * 1024
GROWTH = 40 * MEBIBYTE  # what an interpreter may take for itself; the list alone has 20 MB as objects


def definition(url, parallel):
    """`PUT` may be repeated, so that a kill leaves no step in doubt; the text makes elements as large as records are."""
    methods = {"book": {"method": "PUT", "path": "/book/<<number>>", "body": "<<Item>>"}, "sum": {"method": "PUT", "path": "/sum", "body": "<<Failed>>"}}
    steps = {
        "each": {"for_each": "{{ request.items }}", "do": "take", "parallel": parallel, "failures": "Failed", "next": "sum"},
        "take": {"set": {"number": "{{ Item.number }}"}, "next": "book"},
        "book": {"method": "api.book", "retry": ["100ms", "1s", "1s"]},
        "sum": {"method": "api.sum"},
    }
    return {
        "integrations": {"api": {"base_url": url, "allow_hosts": ["127.0.0.1"], "methods": methods}},
        "runbooks": {"rb": {"start": {"queue": GO}, "first": "each", "concurrency": 8, "steps": steps}},
    }


class Calls:
    """The elements that were booked, in order, and those that were under way when a worker died."""

    def __init__(self):
        self.booked = []
        self.summed = 0
        self.suspect = set()

    async def answer(self, call):
        if call.path == "/sum":
            self.summed += 1
            assert call.body == []
        else:
            self.booked.append(call.body["number"])
        return 200, {}

    def killed(self, lanes):
        self.suspect |= set(self.booked[-lanes:])


def resident(worker):
    """Bytes of memory that its process has."""
    lines = Path(f"/proc/{worker.process.pid}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize(
    ("count", "kills", "parallel"),
    [(60, 3, 1), pytest.param(600, 6, 1, marks=pytest.mark.long), pytest.param(300, 4, 4, marks=pytest.mark.long), *large(10_000, 20, 1)],
)
async def test_killed_over_and_over_every_element_is_done_and_no_finished_one_is_repeated(stage, other, api, count, kills, parallel):  # noqa: F811
    rng, calls = Random(7), Calls()
    api.on_call = calls.answer
    worker = await stage.start(definition(api.url, parallel), name="worker-0")
    await other.send({"items": [{"number": number, "text": "x" * 200} for number in range(count)]}, GO)
    sizes = []
    for number in range(1, kills + 1):
        wanted = count * number // (kills + 1) + rng.randint(0, 3)

        async def reached(wanted=wanted):
            return len(calls.booked) >= wanted

        await until(reached, within=900)
        sizes.append(resident(worker))
        await worker.kill()
        calls.killed(parallel)
        worker = await stage.start(name=f"worker-{number}", ready=False)

    async def ended():
        return calls.summed > 0 and await other.depth(RUN) == 0

    await until(ended, within=900)
    assert await worker.stop() == 0
    times = Counter(calls.booked)
    assert sorted(times) == list(range(count)), "an element was left out"
    assert {number for number, seen in times.items() if seen > 1} <= calls.suspect, "an element was repeated that was finished"
    assert calls.summed == 1
    assert await other.depth(dead_queue(RUN)) == 0
    if parallel > 1:
        assert await other.depth(lanes_queue("rb")) == 0
    assert max(sizes) - min(sizes) < GROWTH
    if parallel == 1:
        firsts = list(dict.fromkeys(calls.booked))
        assert firsts == sorted(firsts)
