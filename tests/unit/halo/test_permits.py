"""One budget over several replicas, on virtual time: the real budgets, permits and minters over the embedded broker."""

import asyncio
import random
from bisect import bisect_left
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise

from worker.broker.memory import MemoryServer, attach
from worker.config.routes import RateLimit
from worker.core.allowance import Allowance
from worker.core.exchange import Priority
from worker.halo.budget import Budget
from worker.metrics import Metrics
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
                async with self.budget.turn(priority):
                    await halo.receive(seconds())

        self._tasks += [asyncio.create_task(one()) for _ in range(at_once)]

    async def send(self, halo, priority=Priority.WRITE):
        async with self.budget.turn(priority):
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


def test_three_replicas_with_half_an_hour_of_backlog_stay_within_the_limit_and_use_it(virtually):
    async def main(clock):
        halo = Halo(clock, random.Random(1))
        async with AsyncExitStack() as stack:
            for replica in await replicas(stack, RateLimit(700, 300.0), clock):
                replica.work(halo, lambda: halo.dice.uniform(0.1, 3))
            await clock.sleep(30 * MINUTES)
        return halo.counted

    counted = virtually(main)
    assert busiest(counted, 300.0) <= 700
    assert len(counted) > 0.9 * 4200
