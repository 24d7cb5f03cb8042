"""Runs by cron: one for each time over all replicas, one for all the times that were missed, and never twice for one time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.flows.job.conftest import Job
from tests.tools.waiting import until
from worker.config.automation import Runbook, Step
from worker.core.health import Health
from worker.core.ports import Broker
from worker.core.topology import state_queue, wait_queue
from worker.flows.running.run_message import Run, run_queue
from worker.flows.running.schedule import ScheduleFlow, schedule_topology
from worker.flows.running.starting import runbook_topology
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.bootstrap import put_new_baton

RB = Runbook("nightly", "end", {"end": Step("end", end="done")}, schedule="0 3 * * *")
RUNS = run_queue("nightly")
MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


@dataclass
class Hands:
    """A clock whose hands the test moves."""

    at: float = MIDNIGHT

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@dataclass
class Replicas:
    """Replicas of the schedule at one broker."""

    broker: Broker
    clock: Hands = field(default_factory=Hands)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, tasks: asyncio.TaskGroup, count: int = 1) -> None:
        for _ in range(count):
            flow = ScheduleFlow(RB, str(RB.schedule), self.clock, Metrics(), Health())
            tasks.create_task(flow.serve(self.broker, self.stop))

    async def rests(self, job: Job) -> None:
        """Until the baton waits for its time."""

        async def waits() -> bool:
            return await job.other.depth(wait_queue("nightly")) == 1

        await until(waits)

    async def due(self, job: Job, at: float) -> None:
        """The broker's own clock cannot be moved: the baton that waits is taken, and put as it comes when its time is over."""
        letter = await job.other.take(wait_queue("nightly"))
        self.clock.at = at
        await self.broker.publish(letter.message, routing_key=state_queue("nightly"))


@pytest.fixture
async def replicas(memory_job: Job) -> Replicas:
    await memory_job.other.broker.declare(runbook_topology(RB) + schedule_topology(RB))
    return Replicas(memory_job.other.broker)


async def test_the_first_baton_starts_nothing_and_waits_for_its_time(memory_job, replicas):
    async with asyncio.TaskGroup() as tasks:
        replicas.start(tasks)
        await replicas.rests(memory_job)
        replicas.stop.set()
    letter = await memory_job.other.take(wait_queue("nightly"))
    assert Baton.decode(letter.message.body).due == MIDNIGHT + 3 * HOUR
    assert await memory_job.other.depth(RUNS) == 0


async def test_each_time_starts_one_run_however_many_replicas_there_are(memory_job, replicas):
    async with asyncio.TaskGroup() as tasks:
        replicas.start(tasks, 3)
        for day in range(3):
            await replicas.rests(memory_job)
            await replicas.due(memory_job, MIDNIGHT + day * DAY + 3 * HOUR + 1)
        await replicas.rests(memory_job)
        replicas.stop.set()
    letters = await memory_job.other.take_all(RUNS, 3)
    runs = [Run.read(letter.message.body) for letter in letters]
    assert [run.request["scheduled"] for run in runs] == [f"2026-11-{27 + day}T03:00:00+00:00" for day in range(3)]
    assert len({run.id for run in runs}) == 3
    assert await memory_job.other.depth(RUNS) == 0


async def test_times_that_were_missed_start_one_run_together(memory_job, replicas):
    async with asyncio.TaskGroup() as tasks:
        replicas.start(tasks)
        await replicas.rests(memory_job)
        await replicas.due(memory_job, MIDNIGHT + 5 * DAY)
        letter = await memory_job.other.take(RUNS)
        await replicas.rests(memory_job)
        replicas.stop.set()
    assert Run.read(letter.message.body).request == {"scheduled": "2026-11-27T03:00:00+00:00"}
    waiting = Baton.decode((await memory_job.other.take(wait_queue("nightly"))).message.body)
    assert waiting.due == MIDNIGHT + 5 * DAY + 3 * HOUR
    assert await memory_job.other.depth(RUNS) == 0


async def test_a_copy_of_a_baton_starts_the_same_run(memory_job, replicas):
    due = Baton(generation=3, polled=MIDNIGHT - DAY, due=MIDNIGHT)
    ids = set()
    async with asyncio.TaskGroup() as tasks:
        replicas.start(tasks)
        for _ in range(2):
            await replicas.rests(memory_job)
            await memory_job.other.take(wait_queue("nightly"))
            await put_new_baton(memory_job.other.broker, "nightly", due)
            ids.add(Run.read((await memory_job.other.take(RUNS)).message.body).id)
        replicas.stop.set()
    assert len(ids) == 1


async def test_a_scheduled_runbook_runs_in_the_whole_worker(memory_job):
    """Every minute: the baton of the last minute is put where the broker puts it when its time has come."""
    routes = {
        "runbooks": {"rb": {"start": {"schedule": "* * * * *"}, "input": {"At": "request^scheduled!"}, "first": "end", "steps": {"end": {"end": "done"}}}}
    }
    running = await memory_job.start(routes)
    await put_new_baton(memory_job.other.broker, "rb", Baton(epoch=1, generation=1, polled=1.0, due=60.0))
    await running.settled("rb", "done")
