"""More channels than RabbitMQ allows on one connection: it would end the connection that opens one too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from tests.brokers.test_deliveries import Inbox
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.attachment import RabbitBroker
from worker.broker.rabbitmq.connection import AmqpConnection
from worker.broker.rabbitmq.declare import inspect_queue
from worker.core.message import Message
from worker.core.topology import Topology, browsable_queue

ALLOWED = 2047
PATIENCE = 30.0
QUEUES = [f"q{number}" for number in range(9)]


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    async with connect(amqp_url, name="test") as attached:
        yield attached


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of eight channels each."""
    monkeypatch.setattr(AmqpConnection, "channel_max", 8)


async def test_consumers_beyond_half_of_the_channels_of_a_connection_get_another_one(few, broker: RabbitBroker):
    await broker.declare(Topology(queues=tuple(map(browsable_queue, QUEUES))))
    inbox = Inbox()
    async with AsyncExitStack() as stack:
        with capture_logs() as lines:
            channels = await asyncio.gather(*(stack.enter_async_context(broker.channel(prefetch=1)) for _ in QUEUES))
        assert [line["number"] for line in lines if line["event"] == "broker.connection_added"] == [2, 3], "those that ask together wait for one"
        for queue, channel in zip(QUEUES, channels, strict=True):
            await channel.consume(queue, inbox)
            await broker.publish(Message(queue.encode()), routing_key=queue)
        await inbox.has(len(QUEUES))
        for delivery in inbox.deliveries:
            await delivery.ack()
    with capture_logs() as lines:
        async with broker.channel():
            assert not lines, "a channel that was closed made room"


async def test_questions_and_declarations_wait_where_all_channels_are_open(few, broker: RabbitBroker):
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(broker.channel())
        await asyncio.gather(*(broker.declare(Topology(queues=(browsable_queue(queue),))) for queue in QUEUES))
        assert await asyncio.gather(*map(broker.queue_exists, QUEUES)) == [True] * len(QUEUES)
    assert not broker.lost


async def test_the_attachment_is_lost_with_any_of_its_connections(few, broker: RabbitBroker):
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(broker.channel()) for _ in range(5)]
        last = list(broker._consumers._used)[-1]
        assert last is not broker._consuming
        last._socket.abort()
        assert await broker.wait_lost()
        await channels[-1].wait_closed()


@pytest.mark.long  # opens as many channels as RabbitMQ allows
async def test_more_channels_than_a_connection_may_have_cost_no_connection(broker: RabbitBroker):
    async with AsyncExitStack() as stack:
        for start in range(0, ALLOWED + 100, 100):
            await asyncio.gather(*(stack.enter_async_context(broker.channel()) for _ in range(start, start + 100)))
        assert await broker.queue_depth("nowhere") is None
        assert not broker.lost


async def test_a_channel_that_the_broker_closes_is_free_again_while_much_is_written(broker: RabbitBroker):
    """It closes one over each question about a queue that is not there. Where this is not confirmed, the next with its number costs the connection."""
    connection, asked = broker._consuming, asyncio.Event()

    async def write() -> None:
        async with connection.methods(PATIENCE) as methods:
            while not asked.is_set():
                await methods.basic_qos(prefetch_count=1)

    async def ask() -> None:
        for _ in range(30):
            assert await inspect_queue(connection, "missing", PATIENCE) is None
        asked.set()

    await asyncio.gather(ask(), *(write() for _ in range(30)))
    assert not broker.lost
