"""The same random work on both brokers must show the same: the embedded broker is worth what it is like RabbitMQ."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from tests.tools.sizes import first
from tests.tools.waiting import until
from worker.broker.memory import MemoryServer, attach
from worker.broker.rabbitmq import connect
from worker.core.errors import PublishRefused, Unroutable
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel
from worker.core.topology import BROWSED_LIMIT, AmqpExchange, Binding, Topology, browsable_queue, dead_lettering_queue

QUEUES = ("work", "dead", "wait", "due")
TOPOLOGY = Topology(
    (AmqpExchange("events"),),
    (browsable_queue("dead"), dead_lettering_queue("work", "dead", 2), browsable_queue("due"), dead_lettering_queue("wait", "due", BROWSED_LIMIT)),
    (Binding("events", "a.*", "work"), Binding("events", "a.#", "due"), Binding("events", "#.z", "work")),
)
KEYS = ("a.b", "a.b.z", "z", "nothing", "a")
STEPS = 40


@dataclass
class Worker:
    """Carries out steps on one broker and tells what came of each."""

    broker: Broker
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    channel: Channel | None = None
    held: list[Delivery] = field(default_factory=list)

    async def do(self, step: tuple[str, int]) -> object:
        name, number = step
        match name:
            case "publish":
                return await self.publish(Message(b"%d" % number), "", QUEUES[number % 4])
            case "expire":
                return await self.publish(Message(b"%d" % number, expiration=0), "", "wait")
            case "route":
                return await self.publish(Message(b"%d" % number), "events", KEYS[number % 5])
            case "get":
                return await self.get(QUEUES[number % 4])
            case "ack" if self.held:
                await self.held.pop(number % len(self.held)).ack()
            case "close":
                await self.opened.aclose()
                self.channel, self.held = None, []
        return None

    async def publish(self, message: Message, exchange: str, routing_key: str) -> str:
        try:
            await self.broker.publish(message, exchange=exchange, routing_key=routing_key)
        except (Unroutable, PublishRefused) as refused:
            return str(refused)
        return "stored"

    async def get(self, queue: str) -> object:
        if self.channel is None:
            self.channel = await self.opened.enter_async_context(self.broker.channel())
        delivery = await self.channel.get(queue)
        if delivery is None:
            return None
        self.held.append(delivery)
        headers = delivery.message.headers
        return (delivery.message.body, delivery.redelivered, headers.get("x-delivery-count", 0), headers.get("x-first-death-reason"), delivery.routing_key)

    async def depths(self) -> list[int | None]:
        return [await self.broker.queue_depth(queue) for queue in QUEUES]


@pytest.mark.parametrize("seed", first(1, range(12)))
async def test_random_work_shows_the_same_on_both(amqp_url: str, seed: int):
    chance = random.Random(seed)
    names = ["publish", "publish", "expire", "route", "get", "get", "get", "ack", "close"]
    async with attach(MemoryServer(), "memory") as memory, connect(amqp_url, name="rabbitmq") as rabbitmq:
        one, other = Worker(memory), Worker(rabbitmq)
        await memory.declare(TOPOLOGY)
        await rabbitmq.declare(TOPOLOGY)
        for position in range(STEPS):
            step = (chance.choice(names), position)
            assert (step, await one.do(step)) == (step, await other.do(step))
            await until(lambda: alike(one, other))  # dead letters and returns take RabbitMQ a moment
        await one.opened.aclose()
        await other.opened.aclose()


async def alike(one: Worker, other: Worker) -> bool:
    return await one.depths() == await other.depths()
