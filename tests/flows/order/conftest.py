"""The main job's stage, for routes that keep an order."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.flows.job.conftest import Job, halos, job, memory_job
from tests.tools.job import publisher
from worker.sandbox.server import Sandbox

__all__ = ["halos", "job", "memory_job"]


def ordered(**more: Any) -> dict[str, Any]:
    """Updates of assets in the order of their messages, which are `{id, step}`."""
    return publisher(order_by="{{ id }}", transform={"payload": {"id": "{{ id }}", "notes": "{{ $string(step) }}"}}, **more)


def applied(halo: Sandbox) -> dict[int, list[int]]:
    """The steps that Halo carried out, by record, in its order; a step that was repeated at once counts as one."""
    steps: dict[int, list[int]] = defaultdict(list)
    for entry in halo.journal.executed("POST", "/Asset"):
        for record in entry.body:
            if not steps[record["id"]] or steps[record["id"]][-1] != int(record["notes"]):
                steps[record["id"]].append(int(record["notes"]))
    return dict(steps)


async def send_steps(job: Job, keys: list[int], steps: range) -> None:
    """The steps of all keys, interleaved."""
    for step in steps:
        for key in keys:
            await job.other.send({"id": key, "step": step})
