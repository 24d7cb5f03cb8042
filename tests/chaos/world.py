"""The stage of the chaos: replicas of the worker, each behind proxies of its own to each node of the broker and to the simulated Halo."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.routes import SECRET
from tests.tools.invariants import Ended
from tests.tools.process import WorkerProcess, worker_process, write_routes
from tests.tools.proxy import Proxy, through_proxy
from tests.tools.rabbitmq import RabbitMQ
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo

GRACE = 10.0
HEARTBEAT = 2


@dataclass
class Replica:
    """One place for a worker, and the worker that is in it now. `busy`: somebody is at it, and others leave it alone.

    `hindrances`: what keeps it from the broker or from Halo now; `hindered`: whether anything did since it was asked to end.
    """

    number: int
    broker_url: str
    brokers: tuple[Proxy, ...]
    halo_url: str
    halo: Proxy
    worker: WorkerProcess | None = None
    life: AsyncExitStack | None = None
    lives: int = 0
    stopped: bool = False
    killed: bool = False
    hindrances: int = 0
    hindered: bool = False
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def broker(self) -> Proxy:
        return self.brokers[0]

    @property
    def alive(self) -> bool:
        return self.worker is not None and self.worker.running

    @property
    def listening(self) -> bool:
        """Whether it has come so far that it hears a SIGTERM."""
        return self.worker is not None and self.worker.running and "admin.listening" in self.worker.text()

    @contextmanager
    def hindrance(self) -> Iterator[None]:
        self.hindrances += 1
        self.hindered = True
        try:
            yield
        finally:
            self.hindrances -= 1

    def signal(self, number: signal.Signals) -> None:
        self.killed = self.killed or number is signal.SIGKILL
        if self.worker is not None and self.worker.running:
            self.worker.signal(number)


@dataclass
class World:
    folder: Path
    rabbitmq: RabbitMQ
    url: str
    halo: SimulatedHalo
    replicas: list[Replica]
    log_level: str = "info"
    ended: list[Ended] = field(default_factory=list)
    say: Callable[[str], None] = print

    async def start(self, replica: Replica) -> None:
        """A new worker in this place. It is not waited for."""
        replica.lives += 1
        replica.stopped = replica.killed = False
        replica.life = AsyncExitStack()
        name = f"replica-{replica.number}-{replica.lives:03}"
        settings = {"shutdown_grace": GRACE, "heartbeat": HEARTBEAT, "log_level": self.log_level}
        process = worker_process(self.folder, replica.broker_url, name=name, variables={"HALO_URL": replica.halo_url}, **settings)
        replica.worker = await replica.life.enter_async_context(process)

    async def kill(self, replica: Replica) -> None:
        await self._gone(replica, "SIGKILL")

    async def terminate(self, replica: Replica) -> None:
        """SIGTERM, and its end, however it comes."""
        replica.signal(signal.SIGTERM)
        await self._gone(replica, "SIGTERM")

    async def _gone(self, replica: Replica, asked: str) -> None:
        worker, life = replica.worker, replica.life
        if worker is None or life is None:
            return
        unasked = not worker.running and not replica.killed
        began = time.monotonic()
        replica.hindered = replica.hindrances > 0
        if asked == "SIGKILL":
            await worker.kill()
        try:
            code = await worker.ended(GRACE + 20)
        except TimeoutError:
            code = -int(signal.SIGALRM)  # it did not end at all
        asked = "SIGKILL" if replica.killed else asked  # perhaps it was killed while it was ending
        self.ended.append(Ended(worker.output.stem, code, "" if unasked else asked, time.monotonic() - began, GRACE + 5, replica.hindered))
        replica.worker, replica.life = None, None
        await life.aclose()

    async def watch_over(self) -> None:
        """A worker that ends by itself is evidence, and the show goes on."""
        while True:
            for replica in self.replicas:
                if replica.worker is not None and not replica.worker.running and not replica.busy.locked():
                    async with replica.busy:
                        self.say(f"!! {replica.worker.output.stem} ended by itself with {replica.worker.process.returncode}")
                        await self._gone(replica, "")
                        await self.start(replica)
            await asyncio.sleep(0.5)

    def logs(self) -> dict[str, str]:
        return {path.name: path.read_text("utf-8", errors="replace") for path in sorted(self.folder.glob("replica-*.log"))}


@asynccontextmanager
async def world(folder: Path, rabbitmq: RabbitMQ, definition: dict[str, Any], replicas: int, log_level: str = "info", **halo: Any) -> AsyncIterator[World]:
    """A virtual host, a Halo with 200 tickets, the proxies; no worker yet. At exit nothing of it is left but the logs."""
    url = rabbitmq.new_vhost()
    write_routes(folder, definition)
    (folder / "secrets" / "halo_client_secret").write_text(SECRET)
    settings = SandboxSettings(**({"rate_limit": None, "tickets": 200, "client_secret": SECRET, "create_seconds": 0.02} | halo))
    async with AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(serve(settings))
        places = []
        for number in range(replicas):
            ways = [await stack.enter_async_context(through_proxy(address)) for address in url.split(",")]
            halo_url, to_halo = await stack.enter_async_context(through_proxy(simulated.url))
            to_halo.forgets = True
            places.append(Replica(number, ",".join(way for way, _ in ways), tuple(proxy for _, proxy in ways), halo_url.rstrip("/"), to_halo))
        made = World(folder, rabbitmq, url, simulated, places, log_level)
        try:
            yield made
        finally:
            await asyncio.gather(*(replica.life.aclose() for replica in places if replica.life is not None))
    await asyncio.to_thread(rabbitmq.drop_vhost, url)
