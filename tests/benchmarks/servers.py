"""The simulated Halo in a process of its own, so that its work does not count as ours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings


@dataclass(frozen=True)
class HaloProcess:
    url: str


@contextmanager
def halo_process(*, tickets: int, delay: float = 0.0) -> Iterator[HaloProcess]:
    command = [sys.executable, "-m", "tests.benchmarks.servers", str(tickets), str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield HaloProcess(process.stdout.readline().strip())
        process.stdin.close()


async def main(tickets: int, delay: float) -> None:
    async with serve(SandboxSettings(tickets=tickets, rate_limit=None, unique_names=False)) as halo:
        if delay:
            halo.fault(Fault(FaultKind.DELAY, path="/Asset", times=None, seconds=delay))
        print(halo.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
