"""What replicas tell of their writes, on both brokers: known to all before anybody can meet the record, after restarts as well."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from uuid import uuid4

import pytest

from tests.brokers.conftest import World
from tests.tools.waiting import soon, until
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError
from worker.core.message import Message
from worker.core.topology import ECHOES, echoes_topology
from worker.metrics import Metrics
from worker.state.write_index import WriteFootprint, WriteNotice
from worker.state.write_notices import WriteNotices

CLOCK = SystemClock()


@pytest.fixture
async def replicas(world: World):
    async with AsyncExitStack() as stack:

        async def make(number: int) -> list[WriteNotices]:
            made = []
            for _ in range(number):
                broker = await stack.enter_async_context(world.attach())
                await broker.declare(echoes_topology())
                echoes = WriteNotices(CLOCK)
                await stack.enter_async_context(echoes.attached(broker))
                made.append(echoes)
            return made

        yield make


async def wrote(echoes: WriteNotices, key: str) -> None:
    write = uuid4().hex
    await echoes.begin(write, "main", "tickets", [key], 0)
    await echoes.end(write, "main", "tickets", [WriteFootprint(key, "updated")])


async def test_who_has_caught_up_knows_what_the_others_wrote_until_then(replicas):
    one, other = await replicas(2)
    for number in range(30):
        await soon(wrote(one, str(number)))
        assert await soon(other.caught_up(10))
        assert other.footprints("main", "tickets", str(number)) == [WriteFootprint(str(number), "updated")]


async def test_a_replica_that_starts_later_knows_what_was_written(replicas):
    [early] = await replicas(1)
    await soon(asyncio.gather(*[wrote(early, str(number)) for number in range(50)]))
    [late] = await replicas(1)
    assert await soon(late.caught_up(10))
    assert all(late.footprints("main", "tickets", str(number)) for number in range(50))


async def test_a_write_under_way_is_waited_for_until_it_has_ended(replicas):
    one, other = await replicas(2)
    await soon(one.begin("w", "main", "tickets", ["5"], 1))
    assert await soon(other.caught_up(10))
    for keys, creates in (["5"], False), (["6"], True):
        waiting = asyncio.create_task(other.wait_until_ended("main", "tickets", keys, creates=creates, within=30))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await soon(other.wait_until_ended("main", "tickets", keys, creates=creates, within=0.01))
        await soon(other.wait_until_ended("main", "tickets", ["6"], creates=False, within=30))
        if creates:
            await soon(one.end("w", "main", "tickets", []))
            await soon(waiting)
        waiting.cancel()


async def test_without_a_broker_nothing_can_be_told_and_nobody_is_caught_up(replicas, world: World):
    unattached = WriteNotices(CLOCK)
    with pytest.raises(BrokerError):
        await unattached.begin("w", "main", "tickets", [], 1)
    assert not await unattached.caught_up(10)
    [one] = await replicas(1)
    assert await soon(one.caught_up(10))
    world.cut()

    async def lost() -> bool:
        return not await one.caught_up(0.5)

    await until(lost)


async def test_another_attachment_goes_on_with_what_there_is(world: World):
    echoes = WriteNotices(CLOCK)
    for number in range(3):
        async with world.attach() as broker:
            await broker.declare(echoes_topology())
            async with echoes.attached(broker):
                await soon(wrote(echoes, "5"))
                assert await soon(echoes.caught_up(10))
                assert len(echoes.footprints("main", "tickets", "5")) == number + 1


async def test_strange_messages_in_the_stream_do_no_harm(replicas, world: World):
    [one] = await replicas(1)
    async with world.attach() as broker:
        await broker.publish(Message(b"hello"), routing_key=ECHOES)
    await soon(wrote(one, "5"))
    assert await soon(one.caught_up(10))
    assert one.footprints("main", "tickets", "5")


async def serving(world: World, echoes: WriteNotices) -> None:
    """As the service does: where an attachment is lost, and RabbitMQ 4 closes it at a notice to a stream that is being deleted, a new one is made."""
    while True:
        with suppress(BrokerError):
            async with world.attach() as broker:
                await broker.declare(echoes_topology())
                async with echoes.attached(broker):
                    await broker.wait_lost()


async def test_a_deleted_stream_is_made_again(world: World, monkeypatch):
    monkeypatch.setattr("worker.state.stream_follower.RETRY", 0.05)
    monkeypatch.setattr("worker.state.stream_follower.SILENCE", 0.3)
    one = WriteNotices(CLOCK)
    service = asyncio.create_task(serving(world, one))

    async def works() -> bool:
        return await one.caught_up(0.5)

    await until(works)
    await soon(wrote(one, "5"))
    assert await soon(one.caught_up(10))
    assert one.footprints("main", "tickets", "5")
    world.delete_queue(ECHOES)

    async def forgotten() -> bool:
        return await works() and not one.footprints("main", "tickets", "5")

    await until(forgotten)
    await soon(wrote(one, "6"))
    assert await soon(one.caught_up(10))
    assert one.footprints("main", "tickets", "6")
    service.cancel()
    await asyncio.wait([service])


async def test_a_write_notice_that_is_dated_ahead_hides_no_change_and_is_counted(world):
    metrics = Metrics()
    async with world.attach() as broker:
        await broker.declare(echoes_topology())
        for at in (CLOCK.now() + 2 * 3600, CLOCK.now()):
            notice = WriteNotice(uuid4().hex, "main", "tickets", int(at), ended=True, footprints=(WriteFootprint("7", "updated", after=int(at)),))
            await broker.publish(Message(notice.encode()), routing_key=ECHOES)
        echoes = WriteNotices(CLOCK, metrics)
        async with echoes.attached(broker):
            assert await soon(echoes.caught_up(10))
            assert len(echoes.footprints("main", "tickets", "7")) == 1
    assert metrics.registry.get_sample_value("halo_worker_refused_state_total", {"kind": "notice"}) == 1.0
