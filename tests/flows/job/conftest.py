"""The whole worker in this process, on the embedded broker and on RabbitMQ, with a simulated Halo on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.job import OtherSystem
from tests.tools.process import write_routes
from tests.tools.waiting import SOON, until
from worker.app import Service
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.config.loader import load_routes
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import NowFunction, SimulatedHalo, utc_now
from worker.settings import Settings

Halos = Callable[..., Awaitable[SimulatedHalo]]


@dataclass
class Running:
    """A service at work."""

    service: Service
    task: asyncio.Task[None]

    def value(self, metric: str, **labels: str) -> float:
        return self.service.metrics.registry.get_sample_value(f"halo_worker_{metric}", labels) or 0.0

    def messages(self, route: str, result: str) -> int:
        """Messages that a publisher settled so."""
        return int(self.value("messages_total", route=route, result=result))

    def polls(self, route: str, *results: str) -> int:
        """Polls that ended so, or at all."""
        return sum(int(self.value("polls_total", route=route, result=result)) for result in results or ("complete", "incomplete", "failed"))

    async def polled(self, route: str, more: int = 2, *results: str, within: float = SOON) -> None:
        """Until this many further polls ended (the first of them may have been under way): of these results, when some are named."""
        wanted = self.polls(route, *results) + more
        await self.until(lambda: self.polls(route, *results) >= wanted, within)

    async def settled(self, route: str, result: str, count: int = 1, within: float = SOON) -> None:
        await self.until(lambda: self.messages(route, result) >= count, within)

    async def until(self, condition: Callable[[], bool], within: float = SOON) -> None:
        async def met() -> bool:
            assert not self.task.done() or condition(), f"the service ended: {self.task}"
            return condition()

        await until(met, within)

    async def ready(self, within: float = SOON) -> None:
        await self.until(lambda: self.service.health.ready, within)

    async def stop(self, within: float = SOON) -> None:
        self.service.stop.set()
        async with asyncio.timeout(within):
            await self.task


@dataclass
class Job:
    """The stage of one test. `other` is the other system at the same broker."""

    folder: Path
    url: str
    server: MemoryServer | None
    other: OtherSystem
    _stack: AsyncExitStack

    async def start(self, routes: dict[str, Any], *, ready: bool = True, url: str | None = None, **given: Any) -> Running:
        """A worker over these routes."""
        directory = write_routes(self.folder, routes)
        settings = Settings(amqp_url=url or self.url, routes=directory, **given)
        service = Service(settings, load_routes(directory, {}, self.folder / "secrets"), asyncio.Event(), memory=self.server)
        running = await self._stack.enter_async_context(serving(service))
        if ready:
            await running.ready()
        return running


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Running]:
    running = Running(service, asyncio.create_task(service.run()))
    try:
        yield running
    finally:
        service.stop.set()
        done, _ = await asyncio.wait([running.task], timeout=10)
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=not done)


@asynccontextmanager
async def on_stage(folder: Path, url: str, server: MemoryServer | None) -> AsyncIterator[Job]:
    async with open_broker(url, name="other system", server=server) as broker, AsyncExitStack() as stack:
        yield Job(folder, url, server, OtherSystem(broker), stack)


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed read is repeated as often as in practice, and at once."""
    monkeypatch.setattr("worker.flows.polling.retrying.PAUSES", (0.001, 0.002, 0.005))
    monkeypatch.setattr("worker.flows.polling.retrying.AWAY_WAIT", 0.05)


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.long)])  # tests/brokers shows that the two are alike
async def job(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Job]:
    """On both brokers."""
    embedded = request.param == "memory"
    url = "memory://" if embedded else request.getfixturevalue("amqp_url")
    async with on_stage(tmp_path, url, MemoryServer() if embedded else None) as job:
        yield job


@pytest.fixture
async def memory_job(tmp_path: Path) -> AsyncIterator[Job]:
    """On the embedded broker only, for what no broker decides."""
    async with on_stage(tmp_path, "memory://", MemoryServer()) as job:
        yield job


@pytest.fixture
async def halos() -> AsyncIterator[Halos]:
    """Makes simulated Halos; `now` is the clock that one lives by."""
    async with AsyncExitStack() as stack:

        async def make(now: NowFunction = utc_now, **settings: Any) -> SimulatedHalo:
            return await stack.enter_async_context(serve(SandboxSettings(**({"rate_limit": None, "tickets": 20} | settings)), now=now))

        yield make
