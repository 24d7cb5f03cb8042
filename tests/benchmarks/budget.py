"""Three replicas with a backlog against one request limit, one of them killed in the middle: the busiest window, the part of the limit that is used, the longest gap.

By hand, in about half an hour: `python -m tests.benchmarks.budget 30 700 300` (minutes, requests, seconds); it waits nearly all of the time.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from bisect import bisect_left
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

from tests.tools.job import OtherSystem, publisher, routes
from tests.tools.process import WorkerProcess, worker_process, write_routes
from tests.tools.rabbitmq import rabbitmq
from worker.broker.open import open_broker
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo

REPLICAS = 3
LEAST_USED = 0.9
LONGEST_GAP = 10.0


def busiest(moments: list[float], seconds: float) -> int:
    """The most in any rolling window; `moments` in order."""
    return max((index - bisect_left(moments, moment - seconds) + 1 for index, moment in enumerate(moments)), default=0)


def counted(halo: SimulatedHalo) -> list[float]:
    """When Halo counted requests; the limit of this one counts token calls too."""
    return sorted([entry.time.timestamp() for entry in (*halo.journal.requests, *halo.journal.tokens)])


def writes(halo: SimulatedHalo) -> list[float]:
    return [entry.time.timestamp() for entry in halo.journal.executed("POST", "/Asset")]


async def minter(workers: list[WorkerProcess]) -> WorkerProcess:
    while True:
        for worker in workers:
            if 'halo_worker_minting{client="main"} 1.0' in (await worker.get("/metrics"))[1]:
                return worker
        await asyncio.sleep(0.1)


async def run(url: str, folder: Path, minutes: float, requests: int, seconds: float) -> bool:
    settings = SandboxSettings(rate_limit=requests, rate_window=seconds, limit_counts_tokens=True, tickets=10, unique_names=False)
    async with serve(settings) as halo, open_broker(url, name="benchmark") as broker, AsyncExitStack() as stack:
        halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.3))
        write_routes(folder, routes(halo, publishers={"erp": publisher(concurrency=4)}, rate_limit=f"{requests}/{seconds:g}s"))
        workers = [await stack.enter_async_context(worker_process(folder, url, name=f"replica-{number}", log_level="info")) for number in range(REPLICAS)]
        for worker in workers:
            await worker.ready()
        other = OtherSystem(broker)
        for number in range(round(minutes * 60 / seconds * requests)):
            await other.send({"payload": {"inventory_number": f"SN-{number}", "client_id": 1, "site_id": 1, "assettype_id": 1}})
        started = time.time()
        await asyncio.sleep(minutes * 30)
        killed, victim = time.time(), await minter(workers)
        await victim.kill()
        await asyncio.sleep(minutes * 30)
        return report(halo, started, killed, requests, seconds)


def report(halo: SimulatedHalo, started: float, killed: float, requests: int, seconds: float) -> bool:
    ended = time.time()
    done = [moment for moment in writes(halo) if started <= moment <= ended]
    most, refused = busiest(counted(halo), seconds), sum(entry.status == 429 for entry in halo.journal.requests)
    used = len(done) / (requests / seconds * (ended - started))
    gaps = [(later - earlier, later) for earlier, later in pairwise(done)]
    after = max(gap for gap, later in gaps if killed <= later <= killed + 60)
    print(
        f"{(ended - started) / 60:.1f} minutes of {requests} requests in {seconds:g} s, {REPLICAS} replicas, the minting one killed in the middle", flush=True
    )
    print(f"busiest {seconds:g} s: {most} of {requests}; refused with 429: {refused}; used: {used:.1%}", flush=True)
    print(f"longest gap: {max(gap for gap, _ in gaps):.1f} s; after the kill: {after:.1f} s", flush=True)
    return most <= requests and not refused and used > LEAST_USED and after < LONGEST_GAP


def main(minutes: float = 30, requests: int = 700, seconds: float = 300) -> bool:
    with rabbitmq() as broker, tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(broker.new_vhost(), Path(folder), minutes, requests, seconds))


if __name__ == "__main__":
    minutes, requests, seconds = sys.argv[1:4] if len(sys.argv) > 1 else ("30", "700", "300")
    raise SystemExit(0 if main(float(minutes), int(requests), float(seconds)) else 1)
