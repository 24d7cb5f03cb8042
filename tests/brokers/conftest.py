"""The same behaviour on both brokers: each test runs on the embedded one and on RabbitMQ."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import pytest

from tests.tools.proxy import through_proxy
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.waiting import SOON, until
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.core.message import Delivery
from worker.core.ports import Broker


@dataclass
class World:
    """One broker with nothing in it. `attach()` opens an attachment to it, `cut()` tears all of them off, `delete_queue` is an operator's hand."""

    kind: str
    attach: Callable[..., AbstractAsyncContextManager[Broker]]
    cut: Callable[[], None]
    delete_queue: Callable[[str], None]


@pytest.fixture(autouse=True)
async def tidy() -> AsyncIterator[None]:
    """A test leaves no task running, and nothing in the background failed unheard."""
    loop = asyncio.get_running_loop()
    unheard: list[object] = []
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    before = asyncio.all_tasks()
    yield
    async with asyncio.timeout(SOON):
        while left := asyncio.all_tasks() - before - {asyncio.current_task()}:
            await asyncio.wait(left)
    gc.collect(1)  # what a test made is young; a whole collection takes longer than most tests
    assert unheard == []


@pytest.fixture(params=["memory", "rabbitmq"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        server = MemoryServer()
        yield World("memory", partial(open_broker, "memory://", name="test", server=server), server.cut, server.delete_queue)
        return
    rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
    url: str = request.getfixturevalue("amqp_url")
    async with through_proxy(url) as (proxied, proxy):
        yield World("rabbitmq", partial(open_broker, proxied, name="test", publish_timeout=SOON), proxy.reset, partial(rabbitmq.delete_queue, url))


@pytest.fixture
async def broker(world: World) -> AsyncIterator[Broker]:
    async with world.attach() as attached:
        yield attached


async def take(broker: Broker, queue: str) -> Delivery:
    """The next message of a queue, acknowledged."""
    async with broker.channel() as channel:
        delivery = await until(lambda: channel.get(queue, keep=lambda _: True))
        await delivery.ack()
    return delivery
