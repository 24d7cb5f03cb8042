"""Acknowledgements on RabbitMQ: they go out ahead of aiormq's queue, and must not meet a channel whose close is confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.brokers.test_deliveries import Inbox
from tests.tools.waiting import SOON
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.attachment import RabbitBroker
from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import Delivery, Message
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


async def test_an_error_in_a_callback_for_deliveries_leaves_its_channel_to_its_next_deliveries_and_its_end(broker: RabbitBroker):
    got: list[bytes] = []
    both = asyncio.Event()

    def on_delivery(delivery: Delivery) -> None:
        got.append(delivery.message.body)
        if len(got) == 2:
            both.set()
        else:
            raise RuntimeError("the tasks of this consumer are at their end")

    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    async with asyncio.timeout(SOON):
        async with broker.channel(prefetch=2) as channel:
            await channel.consume("in", on_delivery)
            for body in (b"1", b"2"):
                await broker.publish(Message(body), routing_key="in")
            await both.wait()
        assert await broker.queue_exists("in")


async def refused(question: object) -> None:
    with pytest.raises(BrokerError):
        await question  # type: ignore[misc]
