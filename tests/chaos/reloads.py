"""Reloads under load: one route changes again and again, while another one goes on as if nothing were."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
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
Gap = tuple[datetime, float]  # its end, and its seconds
EVERY = 0.03  # seconds between two messages of the route that does not change
QUIET = 20.0  # seconds without reloads, to compare with
SILENT = 0.2  # seconds within which the unchanged route does its next message
BEAT = 0.01  # seconds between two looks at whether this process runs
SHOWN = 20


async def reloads(rabbitmq: RabbitMQ, folder: Path, seed: int, count: int, say: Say, others: int = 0, quiet: float = QUIET) -> Verdict:
    """`others`: so many further routes, which do nothing. Says how long the unchanged route was silent, with reloads and without."""
    change(folder, 0, others)
    async with on_stage(rabbitmq, folder, seed, 1, say, only_creates=True) as (made, load, nemesis):
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as sending:
            sending.create_task(steadily(load.asset, EVERY, stop))
            sending.create_task(steadily(lambda: load.asset("changing"), 5 * EVERY, stop))
            ours = sending.create_task(standstills(stop))
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
            lengths = sorted(length for _, length in gaps)
            told = ", ".join(f"{of} {1000 * lengths[int(part * (len(lengths) - 1))]:.0f} ms" for of, part in (("median", 0.5), ("99%", 0.99), ("longest", 1)))
            say(f"{name} reloads, {len(gaps) + 1} creates of the unchanged route: between two of them {told}")
            say(f"{name} reloads, {1000 * spent / (len(gaps) + 1):.1f} ms of the worker's CPU for each")
            longer = [gap for gap in gaps if gap[1] > SILENT]
            for at, length in longer[:SHOWN]:
                say(
                    f"silent {1000 * length:.0f} ms until {at:%H:%M:%S.%f}, this process stood still for {1000 * stood_still(ours.result(), at, length):.0f} ms of it"
                )
            say(f"{name} reloads, {len(longer)} silences longer than {1000 * SILENT:.0f} ms")
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


async def standstills(stop: asyncio.Event) -> list[Gap]:
    """When this process, and Halo in it, did nothing for longer than it wanted to: the silence of a worker that waits for Halo is no silence of its own."""
    found: list[Gap] = []
    while not stop.is_set():
        before = datetime.now().astimezone()
        await asyncio.sleep(BEAT)
        now = datetime.now().astimezone()
        late = (now - before).total_seconds() - BEAT
        if late > BEAT:
            found.append((now, late))
    return found


def stood_still(ours: Sequence[Gap], at: datetime, length: float) -> float:
    """Seconds of this gap in which this process stood still."""
    ago = [((at - when).total_seconds(), late) for when, late in ours]
    return sum(max(0.0, min(since + late, length) - max(since, 0.0)) for since, late in ago)


def silences(made: World, first: datetime, last: datetime) -> list[Gap]:
    """From one create of the unchanged route to the next, in this time."""
    times = [
        each.time for each in made.halo.journal.operations if each.method == "POST" and first <= each.time <= last and b"key-assets-" in orjson.dumps(each.body)
    ]
    return [(after, (after - before).total_seconds()) for before, after in pairwise(times)]


def cpu_of(made: World) -> float:
    """Seconds of processor time of the worker itself, without the processes that it has started."""
    worker = made.replicas[0].worker
    assert worker is not None
    fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
