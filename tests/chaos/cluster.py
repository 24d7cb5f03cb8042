"""Faults of a broker that is a cluster of three, during creates: a node dies, freezes, or loses its network, and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

import orjson

from tests.chaos.reckoning import reckon
from tests.chaos.rounds import on_stage
from tests.tools.invariants import Verdict
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.rabbitmq_cluster import SIZE, Cluster

Say = Callable[[str], None]
KINDS = {"kill": 5, "cut": 3, "silent cut": 1, "freeze": 1}
LONGEST = 14.0  # seconds; the queues have other leaders after about 5


@dataclass(frozen=True, slots=True)
class NodeFault:
    kind: str
    node: int
    seconds: float
    gap: float

    def __str__(self) -> str:
        return f"{self.kind}, node {self.node}, {self.seconds:.1f} s"


def faults(seed: int, count: int) -> list[NodeFault]:
    """One node at a time, since two of three must be there for the queues to work; all follows from the seed."""
    random = Random(seed)
    kinds = random.choices(list(KINDS), list(KINDS.values()), k=count)
    return [
        NodeFault(kind, random.randrange(SIZE), random.uniform(0.2, 4.0 if kind in {"kill", "cut"} else LONGEST), random.uniform(0.2, 3.0)) for kind in kinds
    ]


async def cluster_faults(rabbitmq: RabbitMQ, cluster: Cluster, folder: Path, seed: int, count: int, messages: int, replicas: int, say: Say) -> Verdict:
    """So many faults while so many records are created. Also says how soon workers were back on another node."""
    async with on_stage(rabbitmq, folder, seed, replicas, say, only_creates=True) as (made, load, nemesis):
        each = [messages // count + (number < messages % count) for number in range(count)]
        async with asyncio.TaskGroup() as sending:
            for fault, portion in zip(faults(seed, count), each, strict=True):
                made.say(str(fault))
                ending = asyncio.create_task(asyncio.to_thread(strike, cluster, fault))
                for _ in range(portion):
                    sending.create_task(load.asset())
                    await asyncio.sleep(fault.seconds / portion)
                await ending
                await asyncio.sleep(fault.gap)
        verdict = await reckon(made, load, nemesis, say)
        back = sorted(seconds for text in made.logs().values() for seconds in absences(text))
        say(f"{len(back)} times a worker lost its node; seconds until it was attached to one again: {told(back)}")
        return verdict


def absences(log: str) -> Iterator[float]:
    """Seconds from each loss of the broker to the next attachment, as a worker's log tells."""
    lost: datetime | None = None
    for line in log.splitlines():
        if not line.startswith("{"):
            continue
        entry = orjson.loads(line)
        if entry["event"] == "broker.lost":
            lost = lost or datetime.fromisoformat(entry["timestamp"])
        elif entry["event"] == "broker.attached" and lost is not None:
            yield (datetime.fromisoformat(entry["timestamp"]) - lost).total_seconds()
            lost = None


def told(seconds: list[float]) -> str:
    """The middle and the ends of sorted times."""
    if not seconds:
        return "none"
    return ", ".join(f"{name} {seconds[place]:.1f}" for name, place in (("least", 0), ("median", len(seconds) // 2), ("most", -1)))


def strike(cluster: Cluster, fault: NodeFault) -> None:
    """Returns when the cluster is whole again."""
    begin, end = {
        "kill": (cluster.kill, cluster.restart),
        "cut": (cluster.cut, cluster.heal),
        "silent cut": (lambda node: cluster.cut(node, silent=True), cluster.heal),
        "freeze": (cluster.freeze, cluster.thaw),
    }[fault.kind]
    begin(fault.node)
    time.sleep(fault.seconds)
    end(fault.node)
