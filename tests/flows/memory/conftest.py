"""The main job's stage, for messages that are larger than what a small worker may have in hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from tests.flows.job.conftest import Job, Running, halos, job, memory_job, serving
from tests.tools.process import write_routes
from worker.app import Service
from worker.config.loader import load_routes
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings

__all__ = ["halos", "job", "memory_job"]
MEBIBYTE = 1024 * 1024


async def start(job: Job, routes: dict[str, Any], *, ready: bool = True, **settings: Any) -> Running:
    """A worker that may have 4 MiB of bodies in hand, each of at most 2 MiB."""
    directory = write_routes(job.folder, routes)
    given = Settings(amqp_url=job.url, routes=directory, **({"max_message": 2 * MEBIBYTE, "in_flight": 4 * MEBIBYTE} | settings))
    service = Service(given, load_routes(directory, {}, job.folder / "secrets"), asyncio.Event(), memory=job.server)
    running = await job._stack.enter_async_context(serving(service))
    if ready:
        await running.ready()
    return running


def asset(number: int, size: int) -> dict[str, Any]:
    """A message that creates an asset, with so many bytes of notes."""
    return {"payload": {"inventory_number": f"SN-{number}", "notes": "x" * size}}


def created(halo: SimulatedHalo) -> Counter[str]:
    """How often Halo carried out the create of each asset."""
    return Counter(record["inventory_number"] for entry in halo.journal.executed("POST", "/Asset") for record in entry.body)
