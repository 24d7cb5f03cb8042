"""After the chaos: everything heals, the queues run empty, the workers end, and all that is left is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import quote

from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.routes import PERSON, SECRET, effects_of, keys_in
from tests.chaos.world import World
from tests.tools.invariants import Evidence, Left, Verdict, judge
from tests.tools.job import Letter, OtherSystem
from tests.tools.rabbitmq import vhost_of
from worker.broker.open import open_broker

OURS = ("events", "halo.claims", "halo.control", "halo.unrouted")


async def reckon(world: World, load: Load, nemesis: Nemesis, say: Callable[[str], None], within: float = 120.0) -> Verdict:
    """The verdict. What is not at its end after `within` seconds without any fault counts as waiting."""
    await nemesis.heal()
    began = time.monotonic()
    async with open_broker(world.url, name="reckoning") as broker:
        other = OtherSystem(broker)
        left: list[Left] = []
        while not await at_rest(world, load, other, left) and time.monotonic() - began < within:
            await asyncio.sleep(0.5)
        say(f"healed and drained in {time.monotonic() - began:.1f} s")
        await asyncio.gather(*(ended(world, each) for each in world.replicas))
        left += await remains(world, other)
    evidence = Evidence(
        sent=load.sent, effects=list(effects_of(world.halo.journal.operations)), left=left, latest=load.latest() if load.heard else {},
        heard=[heard for heard in load.heard if heard.record in load.latest()], texts=world.logs(), marks=(SECRET, PERSON, "key-"), ended=world.ended,
    )  # fmt: skip
    return judge(evidence)


async def ended(world: World, replica: object) -> None:
    async with replica.busy:
        await replica.worker.logged("admin.listening")
        await world.terminate(replica)


async def at_rest(world: World, load: Load, other: OtherSystem, left: list[Left]) -> bool:
    """Whether every message is at its end and every change told."""
    for queue in await queues(world):
        if queue.endswith(".dead"):
            left += [left_of(queue, letter) for letter in await other.drain(queue)]
    for queue in await queues(world):
        if is_work(queue) and await other.depth(queue):
            return False
    done = {effect.key for effect in effects_of(world.halo.journal.operations)} | {each.key for each in left}
    told = {(heard.record, heard.content) for heard in load.heard}
    return {sent.key for sent in load.sent if sent.sure} <= done and (not load.heard or set(load.latest().items()) <= told)


async def remains(world: World, other: OtherSystem) -> list[Left]:
    """What is in the queues now."""
    return [left_of(queue, letter) for queue in await queues(world) if is_work(queue) or queue.endswith(".dead") for letter in await other.drain(queue)]


async def queues(world: World) -> list[str]:
    found = await asyncio.to_thread(world.rabbitmq.api.call, "GET", f"/api/queues/{quote(vhost_of(world.url), safe='')}?disable_stats=true")
    return sorted(queue["name"] for queue in found)


def is_work(queue: str) -> bool:
    """Whether messages for Halo travel through it: not the worker's own state, not events, not dead letters."""
    return queue not in OURS and not queue.startswith(("halo.state.", "halo.budget", "halo.dead.")) and not queue.endswith((".dead", ".lock", ".born"))


def left_of(queue: str, letter: Letter) -> Left:
    (key, *_) = sorted(keys_in(letter.message.body)) or ["a message without a key"]
    if not queue.endswith(".dead"):
        return Left(key, queue)
    crashed = "x-death" in letter.headers and "dead-class" not in letter.headers
    dead_class, reason = ("crashed", "delivered too often") if crashed else (letter.headers.get("dead-class", ""), letter.headers.get("dead-reason", ""))
    return Left(key, queue, dead=True, dead_class=str(dead_class), reason=str(reason))
