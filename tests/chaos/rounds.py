"""The rounds: everything at random for some minutes, or SIGKILLs alone during creates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos import schedule
from tests.chaos.load import Load, load_of
from tests.chaos.nemesis import Nemesis
from tests.chaos.reckoning import reckon
from tests.chaos.routes import route_file
from tests.chaos.screen import Screen
from tests.chaos.world import World, world
from tests.tools.invariants import Verdict
from tests.tools.rabbitmq import RabbitMQ
from worker.sandbox.faults import Fault, FaultKind

Say = Callable[[str], None]
FAILING = (
    Fault(FaultKind.RESET, "POST", "/Asset", times=None, probability=0.06, executed=True, seed=1),
    Fault(FaultKind.CUT, "POST", "/Asset", times=None, probability=0.06, seed=2),
    Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, probability=0.06, status=500, executed=True, seed=3),
    Fault(FaultKind.HTML, "POST", "/Asset", times=None, probability=0.06, executed=True, seed=4),
)


async def everything(
    rabbitmq: RabbitMQ,
    folder: Path,
    seed: int,
    seconds: float,
    replicas: int,
    say: Say,
    *,
    gap: float = 1.5,
    pace: float = 1.0,
    without: Collection[str] = (),
    rate_limit: int | None = None,
) -> Verdict:
    """All faults of the proxies, of Halo, of the broker and of the processes, by seed."""
    without = {*without, *(() if rabbitmq.node is not None else schedule.NODE)}
    blows = schedule.schedule(seed, seconds, replicas, gap=gap, without=without)
    async with on_stage(rabbitmq, folder, seed, replicas, say, rate_limit=rate_limit) as (made, load, nemesis):
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.everything(stop, pace))
            await nemesis.rage(blows)
            stop.set()
        say(f"{nemesis.struck} faults, {nemesis.missed} points that nobody came by")
        return await reckon(made, load, nemesis, say)


async def kills(rabbitmq: RabbitMQ, folder: Path, seed: int, count: int, messages: int, replicas: int, say: Say, *, failing: bool = False) -> Verdict:
    """So many SIGKILLs while so many records are created; `failing`: and Halo executes and then resets, cuts, answers 500 or HTML."""
    blows = schedule.kills(seed, count, replicas)
    async with on_stage(rabbitmq, folder, seed, replicas, say, only_creates=True) as (made, load, nemesis):
        for fault in FAILING if failing else ():
            made.halo.fault(fault)
        each = [messages // count + (number < messages % count) for number in range(count)]
        portions = iter(each)

        async def portion() -> None:
            for _ in range(next(portions)):
                await load.asset()

        await nemesis.rage(blows, before=portion)
        died = sum(ended.asked == "SIGKILL" for ended in made.ended)
        say(f"{died} SIGKILLs, {nemesis.missed} points that nobody came by")
        return await reckon(made, load, nemesis, say)


@asynccontextmanager
async def on_stage(
    rabbitmq: RabbitMQ, folder: Path, seed: int, replicas: int, say: Say, *, only_creates: bool = False, rate_limit: int | None = None
) -> AsyncIterator[tuple[World, Load, Nemesis]]:
    """Replicas at work, and a load that is attached. `rate_limit`: requests in five minutes, for the workers and for Halo."""
    began = time.monotonic()

    def timed(text: str) -> None:
        say(f"{time.monotonic() - began:7.1f} s  {text}")

    async with (
        world(folder, rabbitmq, route_file(everything=not only_creates, rate_limit=rate_limit), replicas, create_seconds=0.03, rate_limit=rate_limit) as made,
        load_of(made.url, made.halo, seed) as load,
    ):
        made.say = timed
        for replica in made.replicas:
            await made.start(replica)
        for replica in made.replicas:
            await replica.worker.ready()
        nemesis = Nemesis(made, timed)
        watching = [asyncio.create_task(made.watch_over()), asyncio.create_task(pulse(load, made, nemesis, began, say))]
        try:
            yield made, load, nemesis
        finally:
            for each in watching:
                each.cancel()


async def pulse(load: Load, made: World, nemesis: Nemesis, began: float, say: Say) -> None:
    """How far it is, each second, where somebody looks."""
    while isinstance(say, Screen):
        alive = sum(replica.alive for replica in made.replicas)
        done = len(made.halo.journal.operations)
        say.progress(
            f"{time.monotonic() - began:7.1f} s  {nemesis.struck} faults, {alive} replicas, {len(load.sent)} sent, {done} operations, {len(load.heard)} events"
        )
        await asyncio.sleep(1)
