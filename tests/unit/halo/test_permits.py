"""One budget over several replicas, on virtual time: the real budgets, permits and minters over the embedded broker."""

import asyncio
import random
from bisect import bisect_left
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.sizes import first
from tests.tools.waiting import SOON
from worker.broker.memory import MemoryBroker, MemoryServer, attach
from worker.broker.memory.channel import MemoryDelivery
from worker.config.routes import Client, Grant, RateLimit
from worker.core.allowance import Allowance, Permit
from worker.core.exchange import Priority
from worker.core.message import Message
from worker.core.permit_topology import issuer_marker, permits_queue, permits_topology
from worker.halo.budget import FIRST, Budget, Budgets
from worker.metrics import Metrics
from worker.state.permit_issuer import PermitIssuer, pause_message, remaining
from worker.state.permits import SharedPermits

TENANT = "acme"
MINUTES = 60.0


def busiest(counted, seconds):
    """The most in any rolling window."""
    counted = sorted(counted)
    return max((index - bisect_left(counted, moment - seconds) + 1 for index, moment in enumerate(counted)), default=0)


def longest_gap(counted):
    return max((later - earlier for earlier, later in pairwise(sorted(counted))), default=0.0)


@dataclass
class Halo:
    """When requests were counted: somewhere between their start and their end."""

    clock: object
    dice: random.Random
    counted: list = field(default_factory=list)

    async def receive(self, seconds):
        early = self.dice.random() * seconds
        await self.clock.sleep(early)
        self.counted.append(self.clock.monotonic())
        await self.clock.sleep(seconds - early)


class Replica:
    """A budget with its permits, attached to the broker for as long as it lives."""

    def __init__(self, server, limit, clock):
        self.metrics = Metrics()
        self.clock = clock
        self.permits = SharedPermits(["main"], TENANT, Allowance.of(limit.requests, limit.seconds), clock, self.metrics)
        self.budget = Budget(TENANT, limit, clock, self.permits)
        self._server = server
        self._tasks = []

    def attach(self):
        self._tasks.append(asyncio.create_task(self._attached()))

    async def _attached(self):
        async with attach(self._server, "replica") as self.broker:
            await self.permits.serve(self.broker)

    def work(self, halo, seconds=lambda: 0.3, at_once=4, priority=Priority.WRITE):
        """An endless backlog."""

        async def one():
            while True:
                async with self.budget.reserve(priority):
                    await halo.receive(seconds())

        self._tasks += [asyncio.create_task(one()) for _ in range(at_once)]

    async def send(self, halo, priority=Priority.WRITE):
        async with self.budget.reserve(priority):
            await halo.receive(0)

    @property
    def mints(self):
        return self.value("minting") == 1

    def value(self, metric):
        return self.metrics.registry.get_sample_value(f"halo_worker_{metric}", {"client": "main"})

    async def kill(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def replicas(stack, limit, clock, count=3):
    server = MemoryServer()
    made = [Replica(server, limit, clock) for _ in range(count)]
    for replica in made:
        replica.attach()
        stack.push_async_callback(replica.kill)
    return made


@pytest.mark.parametrize("minutes", first(1, [10, 30]))
def test_three_replicas_with_a_backlog_stay_within_the_limit_and_use_it(virtually, minutes):
    async def main(clock):
        halo = Halo(clock, random.Random(1))
        async with AsyncExitStack() as stack:
            for replica in await replicas(stack, RateLimit(700, 300.0), clock):
                replica.work(halo, lambda: halo.dice.uniform(0.1, 3))
            await clock.sleep(minutes * MINUTES)
        return halo.counted

    counted = virtually(main)
    assert busiest(counted, 300.0) <= 700
    assert len(counted) > 0.92 * 140 * minutes


@settings(max_examples=settings().max_examples // 8)
@given(
    limit=st.tuples(st.integers(20, 200), st.floats(20, 120)),
    lengths=st.lists(st.floats(0, 40), min_size=1, max_size=8),
    at_once=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_whatever_requests_last_halo_counts_no_more_than_the_limit(virtually, limit, lengths, at_once, seed):
    async def main(clock):
        halo = Halo(clock, random.Random(seed))
        async with AsyncExitStack() as stack:
            for replica in await replicas(stack, RateLimit(*limit), clock):
                replica.work(halo, lambda: halo.dice.choice(lengths), at_once)
            await clock.sleep(5 * limit[1])
        return halo.counted

    assert busiest(virtually(main), limit[1]) <= limit[0]


def test_the_killed_minter_is_replaced_within_seconds(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(2))
        async with AsyncExitStack() as stack:
            made = await replicas(stack, RateLimit(700, 300.0), clock)
            for replica in made:
                replica.work(halo)
            await clock.sleep(60)
            (first,) = [replica for replica in made if replica.mints]
            await first.kill()
            await clock.sleep(60)
            assert [replica.mints for replica in made if replica is not first].count(True) == 1
        return halo.counted

    assert longest_gap(virtually(main)) < 4


def test_a_lock_that_is_held_is_hardly_ever_tried_since_the_broker_logs_each_refusal(virtually, monkeypatch):
    tried = []
    real = MemoryBroker.lock
    monkeypatch.setattr(MemoryBroker, "lock", lambda self, name: tried.append(name) or real(self, name))

    async def main(clock):
        halo = Halo(clock, random.Random(14))
        async with AsyncExitStack() as stack:
            for replica in await replicas(stack, RateLimit(700, 300.0), clock, count=5):
                replica.work(halo)
            await clock.sleep(3 * MINUTES)

    virtually(main)
    assert 1 <= len(tried) <= 5


def test_minters_that_are_killed_one_after_the_other_make_no_more_than_one_would(virtually):
    async def main(clock):
        server, limit, halo = MemoryServer(), RateLimit(60, 60.0), Halo(clock, random.Random(3))
        made = 0.0
        for _ in range(120):
            replica = Replica(server, limit, clock)
            replica.attach()
            replica.work(halo, lambda: 0.0, at_once=20)
            await clock.sleep(halo.dice.uniform(0.5, 4))
            await replica.kill()
            made += replica.value("permits_minted_total")
        return halo.counted, made

    counted, made = virtually(main)
    assert made > 40
    assert busiest(counted, 60.0) <= 60


def test_a_new_minter_begins_when_the_mark_of_the_one_before_it_is_gone(virtually):
    async def main(clock):
        metrics = Metrics()
        async with attach(MemoryServer(), "replica") as broker:
            await broker.declare(permits_topology(TENANT))
            await broker.publish(Message(b"{}", expiration=30), routing_key=issuer_marker(TENANT))
            minting = asyncio.create_task(PermitIssuer(["main"], TENANT, Allowance.of(700, 300.0), clock, metrics).run(broker))
            made = []
            for _ in range(2):
                await clock.sleep(29)
                made.append(metrics.registry.get_sample_value("halo_worker_permits_minted_total", {"client": "main"}) or 0)
            minting.cancel()
            await asyncio.gather(minting, return_exceptions=True)
        return made

    early, later = virtually(main)
    assert early == 0
    assert later > 50


def test_a_request_that_runs_long_takes_a_further_permit_now_and_then(virtually):
    async def main(clock):
        async with AsyncExitStack() as stack:
            (replica,) = await replicas(stack, RateLimit(700, 300.0), clock, count=1)
            async with replica.budget.reserve(Priority.WRITE):
                await clock.sleep(35)
            await clock.sleep(35)
            return replica.value("permits_taken_total")

    assert virtually(main) == 1 + 3


def test_while_long_requests_wait_for_their_further_permits_nothing_new_starts(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(5))
        async with AsyncExitStack() as stack:
            (replica,) = await replicas(stack, RateLimit(60, 300.0), clock, count=1)  # one permit each six seconds
            replica.work(halo, lambda: 1000.0, at_once=8)
            await clock.sleep(300)
            begun = replica.budget._slots_given
            replica.work(halo, lambda: 0.0, at_once=1, priority=Priority.WRITE)
            await clock.sleep(300)
            return begun, replica.budget._slots_given

    begun, later = virtually(main)
    assert begun == later < 8


def test_without_a_broker_only_tokens_and_probes_are_sent(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(6))
        replica = Replica(MemoryServer(), RateLimit(700, 300.0), clock)
        waiting = [asyncio.create_task(replica.send(halo, priority)) for priority in Priority]
        await clock.sleep(60)
        async with asyncio.timeout(SOON):
            await replica.send(halo, FIRST)
        before = len(halo.counted)
        replica.attach()
        await asyncio.gather(*waiting)
        await replica.kill()
        return before, len(halo.counted)

    assert virtually(main) == (1, 5)


def test_the_order_of_priorities_holds_while_permits_are_waited_for(virtually):
    async def main(clock):
        order = []

        async def use(replica, priority):
            async with replica.budget.reserve(priority):
                order.append(priority)

        async with AsyncExitStack() as stack:
            (replica,) = await replicas(stack, RateLimit(60, 300.0), clock, count=1)
            await use(replica, Priority.WRITE)
            order.clear()
            wanted = [Priority.BACKFILL, Priority.POLL, Priority.RUNBOOK, Priority.WRITE]
            tasks = []
            for priority in wanted:  # each is asked for when a question of the one before it is out
                tasks.append(asyncio.create_task(use(replica, priority)))
                await clock.sleep(0.2)
            await asyncio.gather(*tasks)
        return order

    assert virtually(main) == sorted(Priority)


def test_a_waiter_that_is_cancelled_leaves_its_permit_to_the_next_and_no_question(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(7))
        async with AsyncExitStack() as stack:
            (replica,) = await replicas(stack, RateLimit(60, 300.0), clock, count=1)
            await replica.send(halo)
            first = asyncio.create_task(replica.send(halo))
            await clock.sleep(1)
            second = asyncio.create_task(replica.send(halo))
            first.cancel()
            await second
            third = asyncio.create_task(replica.send(halo))
            await clock.sleep(0.2)
            third.cancel()
            await asyncio.gather(third, return_exceptions=True)
            return len(halo.counted), len(replica.permits._requests)

    assert virtually(main) == (2, 0)


def test_after_a_quiet_time_several_requests_start_at_once(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(8))
        async with AsyncExitStack() as stack:
            one, other = await replicas(stack, RateLimit(700, 300.0), clock, count=2)
            await one.send(halo)
            await clock.sleep(60)
            started = clock.monotonic()
            await asyncio.gather(*(replica.send(halo) for replica in (one, other) for _ in range(4)))
            return clock.monotonic() - started

    assert virtually(main) < 1


def leap(seconds):
    """A process that is stopped and goes on later."""
    asyncio.get_running_loop().virtual.time += seconds


def test_a_permit_that_was_in_the_hands_of_a_frozen_process_is_not_used(virtually, monkeypatch):
    real = MemoryDelivery.ack
    leaps = []

    async def ack(self):
        await real(self)
        if self.queue == permits_queue(TENANT) and not leaps:
            leaps.append(leap(60))

    monkeypatch.setattr(MemoryDelivery, "ack", ack)

    async def main(clock):
        halo = Halo(clock, random.Random(9))
        async with AsyncExitStack() as stack:
            (replica,) = await replicas(stack, RateLimit(60, 300.0), clock, count=1)
            await replica.send(halo)
            return replica.value("permits_taken_total"), replica.value("permits_minted_total")

    taken, made = virtually(main)
    assert (len(leaps), taken) == (1, 1)
    assert made >= 2


def test_a_permit_that_was_taken_and_not_used_in_its_time_is_thrown_away(virtually):
    class Frozen:
        """Grants one permit, and is frozen before it is used."""

        def __init__(self, clock):
            self.clock, self.questions = clock, []

        def ask(self, granted):
            self.questions.append(granted)
            return lambda: None

    async def main(clock):
        permits = Frozen(clock)
        budget = Budget(TENANT, RateLimit(60, 300.0), clock, permits)
        halo = Halo(clock, random.Random(10))

        async def one():
            async with budget.reserve(Priority.WRITE):
                await halo.receive(0)

        waiting = asyncio.create_task(one())
        await clock.sleep(0)
        permits.questions[0](Permit(1, clock.monotonic() + 1))
        leap(5)
        await clock.sleep(1)
        asked_again = len(permits.questions), len(halo.counted)
        permits.questions[1](Permit(2, clock.monotonic() + 1))
        await asyncio.gather(waiting, one())
        return *asked_again, len(permits.questions), len(halo.counted)

    assert virtually(main) == (2, 0, 2, 2)


def test_a_permit_that_was_in_other_hands_before_is_thrown_away(virtually):
    async def main(clock):
        server = MemoryServer()
        async with attach(server, "other") as other:
            await other.declare(permits_topology(TENANT))
            await other.publish(Message(b"{}", expiration=1000), routing_key=issuer_marker(TENANT))  # nobody else shall mint
            await other.publish(Message(b'{"requests": 1}', expiration=1000), routing_key=permits_queue(TENANT))
            async with other.channel() as channel:
                assert await channel.get(permits_queue(TENANT)) is not None
            await other.publish(Message(b"not a permit", expiration=1000), routing_key=permits_queue(TENANT))
            replica = Replica(server, RateLimit(700, 300.0), clock)
            replica.attach()
            halo = Halo(clock, random.Random(11))
            sending = asyncio.create_task(replica.send(halo))
            await clock.sleep(60)
            early = len(halo.counted)
            await other.publish(Message(b'{"requests": 1}', expiration=1000), routing_key=permits_queue(TENANT))
            await sending
            await replica.kill()
            return early, len(halo.counted)

    assert virtually(main) == (0, 1)


def test_after_a_429_in_one_replica_the_others_are_left_without_permits(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(12))
        async with AsyncExitStack() as stack:
            made = await replicas(stack, RateLimit(700, 300.0), clock)
            for replica in made:
                replica.work(halo)
            await clock.sleep(60)
            (refused, *_) = [replica for replica in made if not replica.mints]
            now = clock.monotonic()
            refused.budget.throttled(now, 40.0)
            await clock.sleep(100)
        return [moment - now for moment in halo.counted]

    since = virtually(main)
    assert [moment for moment in since if 3 < moment < 39] == []
    assert [moment for moment in since if 40 < moment < 44] != []


def test_a_pause_outlives_the_minter_that_heeds_it(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(13))
        async with AsyncExitStack() as stack:
            made = await replicas(stack, RateLimit(700, 300.0), clock)
            for replica in made:
                replica.work(halo)
            await clock.sleep(60)
            (refused, *_) = [replica for replica in made if not replica.mints]
            now = clock.monotonic()
            refused.budget.throttled(now, 40.0)
            await clock.sleep(10)
            (minter,) = [replica for replica in made if replica.mints]
            await minter.kill()
            await clock.sleep(100)
        return [moment - now for moment in halo.counted]

    since = virtually(main)
    assert [moment for moment in since if 3 < moment < 39] == []
    assert [moment for moment in since if 40 < moment < 46] != []


def test_clients_of_one_tenant_share_their_permits_and_one_without_a_limit_has_none(virtually):
    async def main(clock):
        asked = []

        def permits(names, tenant, limit):
            asked.append((names, tenant, limit))
            return SharedPermits(names, tenant, Allowance.of(limit.requests, limit.seconds), clock, Metrics())

        grant = Grant("client_credentials", "app")
        clients = [
            Client("two", "https://acme.example", grant),
            Client("one", "https://acme.example", grant, rate_limit=RateLimit(500, 300.0)),
            Client("own", "https://own.example", grant, rate_limit=None),
        ]
        budgets = Budgets(clients, clock, 0.5, permits)
        async with budgets.of(clients[2]).reserve(Priority.WRITE):
            pass
        return asked

    assert virtually(main) == [(["one", "two"], "acme.example", RateLimit(250, 300.0))]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"seconds": "x", "until": 1}', b'{"seconds": 5}', b"null"])
def test_what_is_no_pause_pauses_nobody(body):
    assert remaining(body, 0.0) == 0.0


def test_a_pause_is_never_longer_than_it_was_however_wrong_a_clock_is():
    body = pause_message(40.0, 1000.0).body
    assert [remaining(body, now) for now in (1000.0, 1030.0, 1050.0, 0.0)] == [40.0, 10.0, 0.0, 40.0]
    assert remaining(pause_message(86400.0, 0.0).body, 0.0) == 600.0
