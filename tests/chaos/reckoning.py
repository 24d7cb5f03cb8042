"""After the chaos: everything heals, the queues run empty, the workers end, and all that is left is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

import aiohttp
import orjson

from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis
from tests.chaos.routes import PERSON, SECRET
from tests.chaos.world import Replica, World
from tests.tools.evidence import effects_of, is_work, keys_in, left_of, queues, remains
from tests.tools.invariants import Evidence, Left, Verdict, judge
from tests.tools.job import OtherSystem
from worker.broker.open import open_broker
from worker.sandbox.journal import ExecutedOperation

RETOLD = 50  # of so many events one may have a second key: an ack that was lost leaves an older baton, and a turn two holders


async def reckon(
    world: World, load: Load, nemesis: Nemesis, say: Callable[[str], None], within: float = 120.0, signs: Callable[[], Mapping[str, bool]] = dict
) -> Verdict:
    """The verdict. What is not at its end after `within` seconds without any fault counts as waiting. `signs` are looked at when all is at its end."""
    await nemesis.heal()
    began = time.monotonic()
    async with open_broker(world.url, name="reckoning") as broker:
        other = OtherSystem(broker)
        left: list[Left] = []
        while not await at_rest(world, load, other, left) and time.monotonic() - began < within:
            await asyncio.sleep(0.5)
        say(f"healed and drained in {time.monotonic() - began:.1f} s")
        await asyncio.gather(*(ended(world, each) for each in world.replicas))
        left += await remains(world.rabbitmq, world.url, other)
    (world.folder / "journal.jsonl").write_bytes(b"\n".join(told_of(operation) for operation in world.halo.journal.operations))
    (world.folder / "events.jsonl").write_bytes(b"\n".join(orjson.dumps(asdict(heard)) for heard in load.heard))
    evidence = Evidence(
        sent=load.sent, effects=list(effects_of(world.halo.journal.operations)), left=left, latest=load.latest() if load.heard else {},
        heard=[heard for heard in load.heard if heard.record in load.latest()], texts=world.logs(), marks=(SECRET, PERSON, "key-"), ended=world.ended,
        retold=len(load.heard) // RETOLD, signs=signs(),
    )  # fmt: skip
    return judge(evidence)


def told_of(operation: ExecutedOperation) -> bytes:
    """A line of the journal; `correlation` is what the worker's logs call so too."""
    told = {"time": operation.time, "path": operation.path, "keys": sorted(keys_in(operation.body)), "created": operation.created, "updated": operation.updated}
    return orjson.dumps(told | {"correlation": operation.correlation}) if operation.method == "POST" else b""


async def ended(world: World, replica: Replica) -> None:
    async with replica.busy:
        await replica.worker.logged("admin.listening")
        await world.terminate(replica)


async def idle(replica: Replica) -> bool:
    """Whether it works and has nothing in hand: what it has is in no queue that could be looked at."""
    if not replica.listening or replica.worker is None:
        return False
    try:
        return not await replica.worker.metric("messages_in_hand")
    except aiohttp.ClientError:
        return False


async def at_rest(world: World, load: Load, other: OtherSystem, left: list[Left]) -> bool:
    """Whether every message is at its end and every change told."""
    for queue in await queues(world.rabbitmq, world.url):
        if queue.endswith(".dead"):
            left += [left_of(queue, letter) for letter in await other.drain(queue)]
    for queue in await queues(world.rabbitmq, world.url):
        if is_work(queue) and await other.depth(queue):
            return False
    if not all(await asyncio.gather(*(idle(each) for each in world.replicas))):
        return False
    done = {effect.key for effect in effects_of(world.halo.journal.operations)} | {each.key for each in left}
    told = {(heard.record, heard.content) for heard in load.heard}
    return {sent.key for sent in load.sent if sent.sure} <= done and (not load.heard or set(load.latest().items()) <= told)
