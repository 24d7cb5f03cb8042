"""The worker at work, and an operator who pauses its routes and looks at its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.flows.job.conftest import Job, Running, halos, job, memory_job, soon_again  # noqa: F401 - fixtures: the worker on both brokers
from tests.tools.waiting import until
from worker.app.overview import overview
from worker.core.clock import SystemClock
from worker.core.pauses import Pause
from worker.state.route_control import change_pauses

CLOCK = SystemClock()


@dataclass
class Operator:
    """Pauses, resumes and looks, as the commands do."""

    job: Job

    async def key(self) -> bytes:
        return (await self.job.other.codec()).key

    async def pause(self, route: str, reason: str = "") -> None:
        pause = Pause(CLOCK.now(), "operator@test", reason)
        await change_pauses(self.job.other.broker, CLOCK, await self.key(), lambda pauses: pauses.with_pause(route, pause))

    async def paused(self, running: Running, route: str, reason: str = "") -> None:
        """Pause, and wait until what was in flight has ended."""
        await self.pause(route, reason)
        await running.until(lambda: all(part.detail.startswith("paused") for name, part in running.service.health.parts.items() if route in name.split()))

    async def resume(self, route: str) -> None:
        await change_pauses(self.job.other.broker, CLOCK, await self.key(), lambda pauses: pauses.without(route, CLOCK.now()))

    async def overview(self) -> dict[str, Any]:
        return await overview(self.job.other.broker, CLOCK, await self.key())

    async def route(self, name: str) -> dict[str, Any]:
        return next((route for route in (await self.overview())["routes"] if route["name"] == name), {})

    async def route_is(self, name: str, **members: Any) -> dict[str, Any]:
        """Once the route looks so."""
        seen: dict[str, Any] = {}

        async def looks_so() -> bool:
            seen.update(await self.route(name))
            return seen.items() >= members.items()

        await until(looks_so)
        return seen


@pytest.fixture
def operator(request) -> Operator:
    name = "memory_job" if "memory_job" in request.fixturenames else "job"
    return Operator(request.getfixturevalue(name))


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas report often, and silence is short."""
    monkeypatch.setattr("worker.app.reporter.INTERVAL", 0.1)
    monkeypatch.setattr("worker.state.reports.FIRST_WITHIN", 0.5)
    monkeypatch.setattr("worker.state.reports.QUIET", 0.05)
    monkeypatch.setattr("worker.state.route_control.QUIET", 0.2)
