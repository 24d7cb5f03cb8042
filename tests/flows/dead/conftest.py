"""Dead letters on the embedded broker and on RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.tools.job import OtherSystem
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import work_topology
from worker.flows.dead.letter import DeadQueue

DEAD_QUEUE = DeadQueue("erp", "publisher", "assets.dead", "assets")


@dataclass
class Place:
    """A dead queue, and another attachment to its broker for what others do meanwhile."""

    url: str
    server: MemoryServer | None
    broker: Broker
    other: OtherSystem

    async def bury(self, ids: Sequence[str], size: int = 0) -> None:
        """These, in this order."""
        headers = {"dead-class": "rejected", "dead-reason": "no", "dead-at": "2026-03-01T12:00:00Z"}
        for batch in (ids[start : start + 200] for start in range(0, len(ids), 200)):
            publishing = (self.other.broker.publish(Message(b"x" * size, headers, message_id=each), routing_key=DEAD_QUEUE.name) for each in batch)
            await asyncio.gather(*publishing)

    async def order(self) -> list[str]:
        """What is in the dead queue, which is emptied."""
        return [letter.message.message_id for letter in await self.other.drain(DEAD_QUEUE.name)]

    async def full(self, depth: int) -> None:
        """Until this many letters are ready: a closed channel takes a moment to give back what it held."""
        await self.other.settles(DEAD_QUEUE.name, depth)

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[Broker]:
        """A further attachment."""
        async with open_broker(self.url, name="another", server=self.server) as broker:
            yield broker


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.long)])  # tests/brokers shows that the two are alike
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    embedded = request.param == "memory"
    url, server = ("memory://", MemoryServer()) if embedded else (request.getfixturevalue("amqp_url"), None)
    async with open_broker(url, name="operator", server=server) as broker, open_broker(url, name="other system", server=server) as theirs:
        await theirs.declare(work_topology("assets", [0.05]))
        yield Place(url, server, broker, OtherSystem(theirs))
