"""What routes cost that have nothing to do: CPU, queues, the time of a start, of a broker's return, and memory, with a worker process at a real RabbitMQ.

By hand: `python -m tests.benchmarks.idle 400 2000 60` (routes that idle, routes that start, seconds).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.benchmarks.servers import halo_process
from tests.tools.process import WorkerProcess, worker_process, write_routes
from tests.tools.rabbitmq import RabbitMQ, rabbitmq, vhost_of

MOST_CPU = 0.02  # of a core
MOST_SECONDS, MOST_MEGABYTES = 60.0, 300
SUBSCRIBERS = 5  # of so many routes that start one is a subscriber: each has four queues and a channel
WARM = 15.0  # seconds after which what a start leaves to do is done
PATIENCE = 600.0
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Start:
    """One start of a worker: seconds until it is ready, CPU of a core while it idles, its memory, and the queues that there are.

    `broker_back`, `worker_back`: seconds from the start of a killed broker until it serves, and from then until the worker is ready.
    """

    seconds: float
    cpu: float
    megabytes: float
    queues: int
    broker_back: float = 0.0
    worker_back: float = 0.0


def processes(session: int) -> Iterator[Path]:
    """The worker and its processes for expressions: they share a session."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield folder
        except (FileNotFoundError, ProcessLookupError):
            continue


def cpu_seconds(session: int) -> float:
    fields = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in processes(session)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def megabytes(session: int) -> float:
    """Of the worker itself: the processes for expressions are the same for any number of routes."""
    return int(Path(f"/proc/{session}/statm").read_text().split()[1]) * PAGE / 1024**2


def definition(url: str, publishers: int, subscribers: int = 0) -> dict[str, object]:
    """Publishers with a default plan of retries, and subscribers that poll each hour."""
    auth = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    writing = {f"route-{number}": {"client": "main", "queue": f"idle.{number}", "entity": "Asset"} for number in range(publishers)}
    reading = {f"list-{number}": {"client": "main", "entity": "Asset", "every": "1h"} for number in range(subscribers)}
    return {"clients": {"main": {"url": url, "auth": auth}}, "publishers": writing, "subscribers": reading}


async def started(broker: RabbitMQ, url: str, routes: dict[str, object], idle: float = 0.0) -> Start:
    """Start a worker with these routes, and watch it for some seconds."""
    with tempfile.TemporaryDirectory() as name:
        write_routes(Path(name), routes)
        began = time.monotonic()
        async with worker_process(Path(name), url, log_level="info") as worker:
            await worker.ready(PATIENCE)
            seconds = time.monotonic() - began
            cpu = await idling(worker, idle) if idle else 0.0
            queues = len(broker.api.call("GET", f"/api/queues/{quote(vhost_of(url), safe='')}?columns=name"))
            memory = megabytes(worker.process.pid)
            back = await killed(broker, worker) if idle else (0.0, 0.0)
            await worker.stop(PATIENCE)
    return Start(seconds, cpu, memory, queues, *back)


async def idling(worker: WorkerProcess, seconds: float) -> float:
    await asyncio.sleep(WARM)
    before, began = cpu_seconds(worker.process.pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_seconds(worker.process.pid) - before) / (time.monotonic() - began)


async def killed(broker: RabbitMQ, worker: WorkerProcess) -> tuple[float, float]:
    """As if the broker's machine lost its power."""
    await asyncio.to_thread(broker.kill)
    await worker.unready()
    began = time.monotonic()
    await asyncio.to_thread(broker.start)
    back = time.monotonic()
    await worker.ready(PATIENCE)
    return back - began, time.monotonic() - back


def main(idle: int = 400, many: int = 2000, seconds: float = 60.0) -> bool:
    with halo_process(tickets=10) as halo:
        with rabbitmq() as broker:
            few = asyncio.run(started(broker, broker.new_vhost(), definition(halo.url, idle), seconds))
            print(f"{idle} idle routes: {few.cpu:.1%} of a core over {seconds:g} s (most {MOST_CPU:.0%}); {few.queues} queues; first start {few.seconds:.0f} s")
            print(
                f"{idle} routes, broker killed: it serves again {few.broker_back:.0f} s after its start, the worker {few.worker_back:.0f} s later", flush=True
            )
        with rabbitmq() as broker:
            url, routes = broker.new_vhost(), definition(halo.url, many - many // SUBSCRIBERS, many // SUBSCRIBERS)
            first = asyncio.run(started(broker, url, routes))
            print(
                f"{many} routes: first start {first.seconds:.0f} s (most {MOST_SECONDS:.0f}); {first.queues} queues; {first.megabytes:.0f} MB (most {MOST_MEGABYTES})"
            )
            again = asyncio.run(started(broker, url, routes))
            print(f"{many} routes: start with their queues there {again.seconds:.0f} s; {again.megabytes:.0f} MB", flush=True)
    memory = max(first.megabytes, again.megabytes)
    return few.cpu <= MOST_CPU and max(first.seconds, again.seconds) <= MOST_SECONDS and memory <= MOST_MEGABYTES


if __name__ == "__main__":
    given = sys.argv[1:4] if len(sys.argv) > 1 else ("400", "2000", "60")
    raise SystemExit(0 if main(int(given[0]), int(given[1]), float(given[2])) else 1)
