"""A baton that becomes due at the moment when its wait queue is read: RabbitMQ holds it back until the queue gets a consumer or another message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

import pytest

from tests.tools.waiting import until
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.attachment import RabbitBroker
from worker.core.clock import SystemClock
from worker.core.topology import baton_topology, state_queue, wait_queue
from worker.state.baton import Baton
from worker.state.baton_lease import open_lease, put_baton
from worker.state.bootstrap import baton_visible
from worker.state.cursor_admin import read_status

CLOCK = SystemClock()
DUE = 0.05
SUBSCRIBERS = [f"s{number}" for number in range(15)]  # at once: the broker is then some milliseconds late
ROUNDS = 14


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    async with connect(amqp_url, name="test") as attached:
        yield attached


async def show(broker: RabbitBroker, subscriber: str) -> None:
    """As `halo-worker cursor show`."""
    await read_status(broker, CLOCK, subscriber)


async def start(broker: RabbitBroker, subscriber: str) -> None:
    """As a worker that starts, and as a delivery of a webhook that wakes the subscriber."""
    async with open_lease(broker, CLOCK, subscriber) as (lease, _):
        await lease.reschedule(lambda _: CLOCK.now())


async def browse(broker: RabbitBroker, subscriber: str) -> None:
    """As a person does in the broker's management pages, before the worker misses the baton."""
    async with broker.channel() as channel:
        await channel.get(wait_queue(subscriber))
    await baton_visible(broker, subscriber)


@pytest.mark.parametrize("look", [show, start, browse])
async def test_a_baton_that_becomes_due_while_somebody_looks_at_it_arrives(broker: RabbitBroker, look: Callable[[RabbitBroker, str], Awaitable[None]]):
    chance = Random(1)

    async def looked_at(subscriber: str) -> None:
        async def arrived() -> bool:
            return await broker.queue_depth(state_queue(subscriber)) == 1

        await broker.declare(baton_topology(subscriber))
        async with broker.channel(publishing=True) as channel:
            for _ in range(ROUNDS):
                await put_baton(channel, CLOCK, subscriber, Baton(due=CLOCK.now() + DUE))
                await asyncio.sleep(DUE + chance.uniform(-0.015, 0.006))
                await look(broker, subscriber)
                await until(arrived)
                delivery = await channel.get(state_queue(subscriber))
                assert delivery is not None
                await delivery.ack()

    async with asyncio.TaskGroup() as tasks:
        for subscriber in SUBSCRIBERS:
            tasks.create_task(looked_at(subscriber))
