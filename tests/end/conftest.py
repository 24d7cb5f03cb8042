"""Everything real: the worker as a process, RabbitMQ, and a Halo on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.flows.job.conftest import Running, serving
from tests.tools.job import OtherSystem
from tests.tools.process import WorkerProcess, worker_process, write_routes
from worker.app import Service
from worker.broker.open import open_broker
from worker.config.loader import load_routes
from worker.core.ports import Broker
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings


@dataclass
class Stage:
    """A folder for route files, and workers that are ended with the test."""

    folder: Path
    amqp_url: str
    _stack: AsyncExitStack

    @asynccontextmanager
    async def within(self, routes: dict[str, Any], *, amqp_url: str = "", **settings: Any) -> AsyncIterator[Running]:
        """A worker in this process, for settings that are shorter than any that would be sensible."""
        directory = write_routes(self.folder, routes)
        given = Settings(amqp_url=amqp_url or self.amqp_url, routes=directory, admin_port=0).model_copy(update=settings)
        async with serving(Service(given, load_routes(directory, {}, self.folder / "secrets"), asyncio.Event())) as running:
            await running.ready()
            yield running

    async def start(self, routes: dict[str, Any] | None = None, *, ready: bool = True, name: str = "worker", **settings: Any) -> WorkerProcess:
        """A worker; `routes` replaces the route file first."""
        if routes is not None:
            write_routes(self.folder, routes)
        url = settings.pop("amqp_url", self.amqp_url)
        worker = await self._stack.enter_async_context(worker_process(self.folder, url, name=name, **settings))
        if ready:
            await worker.ready()
        return worker


@pytest.fixture
async def halos() -> AsyncIterator[Callable[..., Any]]:
    """Makes simulated Halos; `now` besides the settings."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> SimulatedHalo:
            return await stack.enter_async_context(serve(SandboxSettings(**({"rate_limit": None, "tickets": 20} | settings))))

        yield make


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    async with open_broker(amqp_url, name="other system") as attached:
        yield attached


@pytest.fixture
async def other(broker: Broker) -> OtherSystem:
    return OtherSystem(broker)


@pytest.fixture
async def stage(tmp_path: Path, amqp_url: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(tmp_path, amqp_url, stack)
