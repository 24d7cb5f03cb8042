"""A worker, a simulated Halo, and planners over the same route files."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.flows.job.conftest import halos, job, memory_job  # noqa: F401 - fixtures
from tests.tools.evaluating import InProcess
from tests.tools.process import write_routes
from worker.app.planning.planner import Planner, Route, open_planner
from worker.config.loader import load_routes
from worker.config.routes import Routes
from worker.flows.local.delivery import StillClock
from worker.settings import Settings


def loaded(folder: Path, definitions: dict[str, Any]) -> Routes:
    return load_routes(write_routes(folder, definitions), {}, folder / "secrets")


@asynccontextmanager
async def planning(routes: Routes, *used: Route, **options: bool) -> AsyncIterator[Planner]:
    async with open_planner(routes, Settings(), used, InProcess(), StillClock(time.time()), **options) as planner:
        yield planner
