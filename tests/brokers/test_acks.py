"""Acknowledgements on RabbitMQ: they go out ahead of aiormq's queue, and must not meet a channel whose close is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.brokers.test_deliveries import Inbox
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.attachment import RabbitBroker
from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import Message
from worker.core.topology import Topology, browsable_queue

ROUNDS = 5
MESSAGES = 60


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    async with connect(amqp_url, name="test") as attached:
        await attached.declare(Topology(queues=(browsable_queue("in"),)))
        yield attached


async def test_acks_while_the_broker_closes_their_channel_end_neither_the_connection_nor_another_channel(broker: RabbitBroker):
    for _ in range(ROUNDS):
        await asyncio.gather(*(broker.publish(Message(b"1"), routing_key="in") for _ in range(MESSAGES)))
        async with broker.channel() as other, broker.channel(prefetch=MESSAGES) as channel:
            inbox = Inbox()
            await channel.consume("in", inbox)
            await inbox.has(MESSAGES)
            asking = asyncio.create_task(refused(channel.get("nowhere")))
            with suppress(ChannelLost):
                for delivery in inbox.deliveries:
                    await delivery.ack()
                    await asyncio.sleep(0)
            await asking
            with pytest.raises(ChannelLost):
                await inbox.deliveries[-1].ack()
            assert await other.get("in") is not None or not await broker.queue_depth("in")
    assert not broker.lost


async def refused(question: object) -> None:
    with pytest.raises(BrokerError):
        await question  # type: ignore[misc]
