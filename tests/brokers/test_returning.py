"""Copies return from the shared retry queues to their own queues: all of them, once, and none waits for another one's queue. On both brokers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.brokers.conftest import World, take
from tests.tools.waiting import until
from worker.core.clock import SystemClock
from worker.core.health import Health
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import Queue, Topology, browsable_queue, dead_queue, retry_queue, retry_topology
from worker.flows.consuming.returning import Returner, for_return

DELAY, HELD_BACK = 0.05, 0.4
DUE_DEAD = dead_queue("halo.retry.due")


@asynccontextmanager
async def returning(broker: Broker) -> AsyncIterator[Health]:
    """A worker's part that returns copies; what it says of itself."""
    health, stop = Health(), asyncio.Event()
    task = asyncio.create_task(Returner(SystemClock(), health, held_back=HELD_BACK).serve(broker, stop))
    try:
        yield health
    finally:
        stop.set()
        await task


async def declared(broker: Broker, *queues: Queue) -> None:
    await broker.declare(retry_topology([DELAY, HELD_BACK]) + Topology(queues=queues))


async def wait_for(broker: Broker, home: str, count: int, first: int = 0) -> None:
    """Copies of one queue that wait for their delay."""
    for number in range(first, first + count):
        await broker.publish(for_return(Message(b"%d" % number, {"mine": number}, f"m-{number}"), home), routing_key=retry_queue(DELAY))


async def bodies(broker: Broker, queue: str) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    async with broker.channel() as channel:
        while delivery := await channel.get(queue):
            await delivery.ack()
            found[delivery.message.body] += 1
    return found


async def collected(broker: Broker, queue: str, count: int) -> Counter[bytes]:
    """What came into a queue, until there are so many different ones."""
    found: Counter[bytes] = Counter()

    async def enough() -> bool:
        found.update(await bodies(broker, queue))
        return len(found) >= count

    await until(enough, 60)
    return found


def once(count: int) -> Counter[bytes]:
    return Counter(b"%d" % number for number in range(count))


def down(health: Health) -> bool:
    return not health.parts["retries"].ok


async def test_a_copy_returns_to_its_queue_as_it_was_and_as_if_it_had_never_waited(broker: Broker):
    await declared(broker, browsable_queue("home"))
    await broker.publish(for_return(Message(b"1", {"mine": 1, "halo-attempts": 2}, "m", "c", "r"), "home"), routing_key=retry_queue(DELAY))
    async with returning(broker):
        back = await take(broker, "home")
    message = back.message
    assert (message.body, message.message_id, message.correlation_id, message.reply_to, back.redelivered) == (b"1", "m", "c", "r", False)
    assert {name: value for name, value in message.headers.items() if not name.startswith("x-deliver")} == {"mine": 1, "halo-attempts": 2}


async def test_a_copy_may_wait_and_return_again_and_again(broker: Broker):
    await declared(broker, browsable_queue("home"))
    async with returning(broker):
        for number in range(4):
            await wait_for(broker, "home", 1, number)
            assert (await take(broker, "home")).message.body == b"%d" % number


async def test_copies_for_a_queue_that_is_missing_hold_up_no_others_and_return_when_it_is_there(broker: Broker):
    await declared(broker, browsable_queue("home"))
    await wait_for(broker, "gone", 100)
    await wait_for(broker, "home", 100)
    async with returning(broker) as health:
        assert await collected(broker, "home", 100) == once(100)
        assert "'gone'" in health.parts["retries"].detail
        assert down(health)
        await broker.declare(Topology(queues=(browsable_queue("gone"),)))
        assert await collected(broker, "gone", 100) == once(100)
        await until(lambda: settled(health))


async def settled(health: Health) -> bool:
    return not down(health)


async def test_copies_for_a_queue_that_is_full_hold_up_no_others_and_none_is_lost(broker: Broker):
    await declared(broker, browsable_queue("home"), Queue("full", {"x-queue-type": "quorum", "x-max-length": 3, "x-overflow": "reject-publish"}))
    await wait_for(broker, "full", 60)
    await wait_for(broker, "home", 60)
    async with returning(broker) as health:
        assert await collected(broker, "home", 60) == once(60)
        assert down(health)
        assert "'full'" in health.parts["retries"].detail
        assert await collected(broker, "full", 60) == once(60)


async def test_a_worker_that_stops_in_the_middle_leaves_the_rest_and_returns_nothing_twice(broker: Broker):
    await declared(broker, browsable_queue("home"))
    await wait_for(broker, "home", 100)
    found: Counter[bytes] = Counter()
    while len(found) < 100:
        async with returning(broker):
            await until(lambda: broker.queue_depth("home"))
        found.update(await bodies(broker, "home"))
    assert found == once(100)


async def test_a_connection_that_is_lost_in_the_middle_loses_no_copy(world: World):
    async with world.attach() as broker:
        await declared(broker, browsable_queue("home"))
        await wait_for(broker, "home", 200)
    async with world.attach() as broker:
        task = asyncio.create_task(Returner(SystemClock(), Health(), held_back=HELD_BACK).serve(broker, asyncio.Event()))
        await until(lambda: broker.queue_depth("home"))
        world.cut()
        await asyncio.wait([task])
        assert task.exception() is not None
    async with world.attach() as broker, returning(broker):
        found = await collected(broker, "home", 200)
    assert found.total() <= 201, "one copy at a time is on its way"


async def test_two_replicas_share_the_work(world: World):
    async with world.attach() as one, world.attach() as other:
        await declared(one, browsable_queue("home"))
        await wait_for(one, "home", 100)
        async with returning(one), returning(other):
            assert await collected(one, "home", 100) == once(100)


async def test_what_no_worker_put_there_is_set_aside(broker: Broker):
    await declared(broker, browsable_queue("home"))
    await broker.publish(Message(b"stray"), routing_key=retry_queue(DELAY))
    await wait_for(broker, "home", 1)
    async with returning(broker):
        assert await collected(broker, "home", 1) == once(1)
        assert (await take(broker, DUE_DEAD)).message.body == b"stray"
