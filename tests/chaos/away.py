"""Halo cannot be reached for a long time: what the workers do meanwhile, and how the backlog drains when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.reckoning import reckon
from tests.chaos.rounds import on_stage
from tests.chaos.world import Replica, World
from tests.tools.invariants import Verdict
from tests.tools.rabbitmq import RabbitMQ
from worker.broker.open import open_broker

RATE_LIMIT = 700  # requests in five minutes, which is Halo's own
DRAINS = 1.6  # messages a second at least, once Halo is back: 70 % of the budget
BUSY = 0.03  # part of one core that a worker may use while there is nothing to do
TALK = 10  # lines of log a minute


@dataclass(frozen=True, slots=True)
class Idle:
    """What one worker used while Halo was away: `cpu` in seconds, `lines` of its log."""

    name: str
    seconds: float
    cpu: float
    lines: int

    @property
    def quiet(self) -> bool:
        return self.cpu < 2 + BUSY * self.seconds and self.lines < 50 + TALK * self.seconds / 60

    def __str__(self) -> str:
        return f"{self.name}: {self.cpu:.1f} s of CPU and {self.lines} lines of log in {self.seconds:.0f} s"


async def away(rabbitmq: RabbitMQ, folder: Path, seed: int, minutes: float, replicas: int, say: Callable[[str], None], *, pause: float = 3.0) -> Verdict:
    """A create every `pause` seconds while nobody answers. Nothing may be buried, nobody may spin, and all is done afterwards within the budget."""
    async with on_stage(rabbitmq, folder, seed, replicas, say, only_creates=True, rate_limit=RATE_LIMIT) as (made, load, nemesis):
        for each in made.replicas:
            each.halo.refusing = True
            each.halo.reset()
        used = {each.number: spent(each) for each in made.replicas}
        began = time.monotonic()
        while (passed := time.monotonic() - began) < minutes * 60:
            await load.asset()
            await asyncio.sleep(min(pause, max(0.0, minutes * 60 - passed)))
        idle = [rested(each, used[each.number], time.monotonic() - began) for each in made.replicas]
        for one in idle:
            say(str(one))
        signs = {
            "nothing is buried while Halo is away": await buried(made) == 0,
            "nothing is sent while Halo is away": not made.halo.journal.executed("POST", "/Asset"),
        }
        signs |= {f"it does not spin: {one}": one.quiet for one in idle}
        back = time.monotonic()

        def shown() -> dict[str, bool]:
            return signs | {"the budget is kept while the backlog drains": all(request.status != 429 for request in made.halo.journal.requests)}

        verdict = await reckon(made, load, nemesis, say, within=60 + len(load.sent) / DRAINS, signs=shown)
        say(f"{len(load.sent)} messages drained at {len(load.sent) / (time.monotonic() - back):.2f}/s")
        return verdict


async def buried(world: World) -> int:
    async with open_broker(world.url, name="looking") as broker:
        return await broker.queue_depth("assets.dead") or 0


def spent(replica: Replica) -> tuple[float, int]:
    """Seconds of CPU and lines of log so far."""
    assert replica.worker is not None
    text = Path(f"/proc/{replica.worker.process.pid}/stat").read_text()
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100, replica.worker.text().count("\n")


def rested(replica: Replica, before: tuple[float, int], seconds: float) -> Idle:
    cpu, lines = spent(replica)
    return Idle(f"replica {replica.number}", seconds, cpu - before[0], lines - before[1])
