"""Permits over a real broker and the embedded one: taken once, short-lived, minted by one."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest

from tests.tools.waiting import until
from worker.core.allowance import Allowance
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError, PublishRefused
from worker.core.message import Message
from worker.core.permit_topology import issuer_lock, issuer_marker, permits_queue, permits_topology
from worker.metrics import Metrics
from worker.state.permits import SharedPermits

TENANT = "acme.example"
QUICK = Allowance.of(600, 20)  # nearly thirty a second
names = count(1)


class Replica:
    def __init__(self, allowance=QUICK):
        self.metrics = Metrics()
        self.permits = SharedPermits(["main"], TENANT, allowance, SystemClock(), self.metrics)
        self.had = []

    def value(self, metric):
        return self.metrics.registry.get_sample_value(f"halo_worker_{metric}", {"client": "main"})

    def ask(self):
        return self.permits.ask(self.had.append)

    def hungry(self):
        """Takes whatever there is."""

        def granted(permit):
            self.had.append(permit)
            self.permits.ask(granted)

        self.permits.ask(granted)

    async def has(self, permits):
        async def enough():
            return len(self.had) >= permits

        await until(enough)

    async def refused(self):
        return self.metrics.registry.get_sample_value("halo_worker_refused_state_total", {"kind": "permit"}) == 1

    async def mints(self):
        return self.value("minting") == 1


@asynccontextmanager
async def attached(world, replica, **options):
    """Serves until the end; yields what cuts this attachment alone."""
    async with world.attach(**options) as broker:
        serving = asyncio.create_task(replica.permits.serve(broker))
        try:
            yield broker
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


async def test_one_of_several_replicas_mints_and_all_take_what_it_makes(world):
    replicas = [Replica() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for replica in replicas:
            replica.hungry()
            await stack.enter_async_context(attached(world, replica))
        for replica in replicas:
            await replica.has(5)
        assert [replica.value("minting") for replica in replicas].count(1) == 1
        taken = sum(replica.value("permits_taken_total") for replica in replicas)
        assert taken <= sum(replica.value("permits_minted_total") for replica in replicas)
        assert taken == sum(permit.requests for replica in replicas for permit in replica.had)
    assert [replica.value("minting") for replica in replicas] == [0, 0, 0]


async def test_when_the_minter_goes_another_one_mints(world):
    first, second = Replica(), Replica()
    async with AsyncExitStack() as stack:
        first.hungry()
        leaving = await stack.enter_async_context(AsyncExitStack())
        await leaving.enter_async_context(attached(world, first))
        await until(first.mints)
        second.hungry()
        await stack.enter_async_context(attached(world, second))
        await second.has(3)
        assert not await second.mints()
        await leaving.aclose()
        await until(second.mints)
        await second.has(len(second.had) + 3)


async def test_after_a_cut_it_goes_on_over_the_next_attachment_with_the_question_that_was_open(world):
    replica = Replica()
    async with attached(world, replica) as broker:
        replica.ask()
        await replica.has(1)
        world.cut()
        await broker.wait_lost()
    replica.ask()
    async with attached(world, replica):
        await replica.has(2)


async def test_who_has_no_lock_does_not_mint(world, broker):
    replica = Replica()
    async with broker.lock(issuer_lock(TENANT)) as mine:
        assert mine
        async with attached(world, replica):
            replica.ask()
            await until(lambda: depth_is(broker, issuer_marker(TENANT), 0))
            await broker.publish(Message(b'{"requests": 1}'), routing_key=permits_queue(TENANT))
            await replica.has(1)
            assert replica.value("permits_minted_total") == 0


@pytest.mark.parametrize("forged", [b'{"requests": 1000000}', b'{"requests": 0}', b'{"requests": -1}', b'{"requests": true}', b"x"])
async def test_a_permit_that_no_worker_can_have_made_is_good_for_nothing_and_is_counted(world, broker, forged):
    replica = Replica()
    async with broker.lock(issuer_lock(TENANT)) as mine:
        assert mine
        async with attached(world, replica):
            replica.ask()
            await until(lambda: depth_is(broker, permits_queue(TENANT), 0))
            await broker.publish(Message(forged), routing_key=permits_queue(TENANT))
            await until(replica.refused)
            await until(lambda: taken(broker, b'{"requests": 1}'))
            await replica.has(1)
            assert [permit.requests for permit in replica.had] == [1]


async def taken(broker, permit):
    """Whether the queue of permits takes one more: it is full until the broker has the acknowledgement of the last one."""
    try:
        await broker.publish(Message(permit), routing_key=permits_queue(TENANT))
    except PublishRefused:
        return False
    return True


async def depth_is(broker, queue, wanted):
    return await broker.queue_depth(queue) == wanted


async def test_permits_that_nobody_takes_are_gone_soon_and_never_many(world, broker):
    replica = Replica()
    async with attached(world, replica):
        replica.ask()
        await replica.has(1)
        await until(lambda: made(replica, 40))
        assert await broker.queue_depth(permits_queue(TENANT)) <= 10
    await until(lambda: depth_is(broker, permits_queue(TENANT), 0))
    await until(lambda: depth_is(broker, issuer_marker(TENANT), 0))


async def made(replica, permits):
    return replica.value("permits_minted_total") >= permits


async def test_another_limit_takes_over_the_same_queues(world, broker):
    for allowance in (Allowance.of(700, 300), QUICK):
        replica = Replica(allowance)
        replica.ask()
        async with attached(world, replica):
            await replica.has(1)
    await broker.declare(permits_topology(TENANT))


async def test_a_queue_that_an_operator_deleted_is_made_again(world):
    replica = Replica()
    replica.hungry()
    async with attached(world, replica):
        await replica.has(1)
        world.delete_queue(permits_queue(TENANT))
        await replica.has(len(replica.had) + 3)


@pytest.mark.parametrize("tenant", ["acme.example", "acme@acme.example", "ACME.example", "x" * 500])
def test_a_queue_tells_no_address(tenant):
    assert re.fullmatch(r"halo\.budget\.[0-9a-f]{12}\.permits", permits_queue(tenant))
    assert tenant not in permits_queue(tenant)


async def test_a_mint_whose_attachment_is_lost_stops(world):
    replica = Replica()
    replica.hungry()
    async with attached(world, replica, publish_timeout=5) as broker:
        await until(replica.mints)
        world.cut()
        await broker.wait_lost()

        async def stopped():
            return not await replica.mints()

        await until(stopped)  # a question that was under way when the connection was cut may wait for its answer until `publish_timeout` ends
        with pytest.raises(BrokerError):
            await broker.queue_depth(permits_queue(TENANT))
