"""The main job's stage, for routes that keep an order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tests.flows.job.conftest import Job, Running, halos, job, memory_job
from tests.tools.job import publisher
from worker.broker.rabbitmq.attachment import RabbitBroker
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.journal import ReceivedRequest
from worker.sandbox.simulated_halo import SimulatedHalo

__all__ = ["halos", "job", "memory_job"]
AT_ONCE = 50


def ordered(**more: Any) -> dict[str, Any]:
    """Updates of assets in the order of their messages, which are `{id, step}`."""
    transform = {"query": {"record": "{{ $string(id) }}"}, "payload": {"id": "{{ id }}", "notes": "{{ $string(step) }}"}}
    return publisher(**({"order_by": "{{ id }}", "transform": transform, "allow_unknown": True} | more))


@dataclass
class Stuck:
    """Halo answers 500 to everything about one record, until it is `free`."""

    halo: SimulatedHalo
    record: int
    free: bool = False
    refused: int = 0

    def __post_init__(self) -> None:
        self.halo.on_request(self)

    def __call__(self, received: ReceivedRequest) -> None:
        if not self.free and received.method == "POST" and received.query.get("record") == str(self.record):
            self.refused += 1
            self.halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=500))  # strikes this very request


def applied(halo: SimulatedHalo) -> dict[int, list[int]]:
    """The steps that Halo carried out, by record, in its order; a step that was repeated at once counts as one."""
    steps: dict[int, list[int]] = defaultdict(list)
    for entry in halo.journal.executed("POST", "/Asset"):
        for record in entry.body:
            if not steps[record["id"]] or steps[record["id"]][-1] != int(record["notes"]):
                steps[record["id"]].append(int(record["notes"]))
    return dict(steps)


async def send_steps(job: Job, keys: list[int], steps: range) -> None:
    """The steps of all keys, interleaved; many are on their way to the broker at once, in their order."""
    for begin in range(0, len(steps), AT_ONCE):
        await asyncio.gather(*(job.other.send({"id": key, "step": step}) for step in steps[begin : begin + AT_ONCE] for key in keys))


async def lose_connections(job: Job, running: Running) -> None:
    """Those of the worker, not those of the other system."""
    if job.server is not None:
        for attachment in list(job.server.attached):
            if attachment.name.startswith("halo-worker"):
                attachment.lose("cut")
        return
    broker = running.service._current._broker
    assert isinstance(broker, RabbitBroker)
    broker._publishing._socket.abort()
    await broker.wait_lost()
