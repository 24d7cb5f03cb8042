"""Reloads under load: one route changes again and again, while another one goes on as if nothing were."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import orjson

from tests.chaos.reckoning import reckon
from tests.chaos.rounds import on_stage
from tests.chaos.routes import publisher
from tests.chaos.world import World
from tests.tools.invariants import Verdict
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.waiting import until

Say = Callable[[str], None]
EVERY = 0.03  # seconds between two messages of the route that does not change
QUIET = 20.0  # seconds without reloads, to compare with


async def reloads(rabbitmq: RabbitMQ, folder: Path, seed: int, count: int, say: Say, others: int = 0, quiet: float = QUIET) -> Verdict:
    """`others`: so many further routes, which do nothing. Says how long the unchanged route was silent, with reloads and without."""
    change(folder, 0, others)
    async with on_stage(rabbitmq, folder, seed, 1, say, only_creates=True) as (made, load, nemesis):
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as sending:
            sending.create_task(steadily(load.asset, EVERY, stop))
            sending.create_task(steadily(lambda: load.asset("changing"), 5 * EVERY, stop))
            begun, cpu = datetime.now().astimezone(), cpu_of(made)
            await asyncio.sleep(quiet)
            between, cpu_between = datetime.now().astimezone(), cpu_of(made)
            for number in range(1, count + 1):
                await reloaded(made, number, others)
                if number % 50 == 0:
                    made.say(f"{number} reloads, {len(load.sent)} sent")
            ended, cpu_ended = datetime.now().astimezone(), cpu_of(made)
            stop.set()
        for name, first, last, spent in (("without", begun, between, cpu_between - cpu), ("with", between, ended, cpu_ended - cpu_between)):
            gaps = silences(made, first, last)
            done = len(gaps) + 1
            told = ", ".join(
                f"{of} {1000 * gaps[min(int(part * len(gaps)), len(gaps) - 1)]:.0f} ms" for of, part in (("median", 0.5), ("99%", 0.99), ("longest", 1))
            )
            say(f"{name} reloads, {done} creates of the unchanged route: between two of them {told}; {1000 * spent / done:.1f} ms of the worker's CPU for each")
        return await reckon(made, load, nemesis, say)


def change(folder: Path, number: int, others: int) -> None:
    """Write the file of the route that changes, as a whole."""
    (folder / "routes").mkdir(exist_ok=True)
    route = publisher(
        "changing", "Asset", find={"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
    )
    idle = {f"idle-{place}": publisher(f"idle-{place}", "Asset") for place in range(others)}
    written = folder / "changing.tmp"
    written.write_bytes(orjson.dumps({"publishers": {"changing": route | {"concurrency": 1 + number % 4}} | idle}))
    written.rename(folder / "routes" / "changing.yaml")


async def reloaded(made: World, number: int, others: int) -> None:
    (replica,) = made.replicas
    worker = replica.worker
    assert worker is not None
    before = len(worker.log("routes.taken_over"))
    change(made.folder, number, others)
    worker.signal(signal.SIGHUP)

    async def taken() -> bool:
        assert worker.running
        return len(worker.log("routes.taken_over")) > before

    await until(taken)


async def steadily(deed: Callable[[], object], pause: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await deed()
        await asyncio.sleep(pause)


def silences(made: World, first: datetime, last: datetime) -> list[float]:
    """Seconds between two creates of the unchanged route in this time, sorted."""
    times = [
        each.time for each in made.halo.journal.operations if each.method == "POST" and first <= each.time <= last and b"key-assets-" in orjson.dumps(each.body)
    ]
    return sorted((after - before).total_seconds() for before, after in pairwise(times))


def cpu_of(made: World) -> float:
    """Seconds of processor time of the worker itself, without the processes that it has started."""
    worker = made.replicas[0].worker
    assert worker is not None
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
