"""One AMQP channel with confirms, and its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from aiormq.abc import AbstractChannel as Methods
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import DeliveryError
from pamqp.commands import Basic

from worker.broker.amqp_types import MAX_HEADERS, short
from worker.broker.rabbitmq.connection import AmqpConnection
from worker.broker.rabbitmq.content import Content
from worker.broker.rabbitmq.failures import explain, publishing, translate_errors
from worker.broker.rabbitmq.properties import to_message, to_properties
from worker.core.entropy import new_id
from worker.core.errors import ChannelLost, PublishRefused
from worker.core.message import OURS, Delivery, DroppedBody, Keep, Message, digest_of
from worker.core.ports import OnDelivery

ALL = 0  # the delivery tag that means every delivery so far
OTHER_PROPERTIES = 2048  # bytes of a frame for its ends and the properties other than headers


class RabbitDelivery:
    """An unacknowledged message of this channel."""

    def __init__(self, delivered: DeliveredMessage, queue: str, channel: RabbitChannel, dropped_body: DroppedBody | None) -> None:
        self.message = to_message(delivered)
        self.queue = queue
        self.exchange = delivered.exchange or ""
        self.routing_key = delivered.routing_key or ""
        self.redelivered = bool(delivered.redelivered)
        self.dropped_body = dropped_body
        self.tag = delivered.delivery_tag or 0
        self._channel = channel

    @property
    def offset(self) -> int | None:
        offset = self.message.headers.get("x-stream-offset")
        return offset if isinstance(offset, int) else None

    @cached_property
    def digest(self) -> bytes:
        return digest_of(self.message, self.dropped_body)

    async def ack(self) -> None:
        await self._channel.ack(self.tag)

    async def reject(self) -> None:
        await self._channel.reject(self.tag, requeue=False)

    async def give_back(self) -> None:
        await self._channel.reject(self.tag, requeue=True)

    def __repr__(self) -> str:
        return f"<delivery {self.tag} of {self.queue!r}>"


class RabbitChannel:
    """One AMQP channel. `methods` is aiormq's channel: aio-pika's own message classes raise on properties that other systems write."""

    def __init__(self, methods: Methods, call_timeout: float, connection: AmqpConnection) -> None:
        self._methods = methods
        self._call_timeout = call_timeout
        self._connection = connection
        self._room = min(MAX_HEADERS, connection.frame_max - OTHER_PROPERTIES) if connection.frame_max else MAX_HEADERS
        self._content = Content(methods)
        self._in_flight: dict[str, asyncio.Event] = {}
        self._publishers = 0
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._closing = methods.closing
        self._closing.add_done_callback(self._on_closing)
        methods.on_consumer_cancel_callbacks.add(self._on_consumer_cancelled)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        routing_key = short("routing key", routing_key)
        properties = to_properties(message, self._room)
        try:
            with publishing(exchange, routing_key, len(message.body)):
                async with asyncio.timeout(self._call_timeout), self._exclusive_message_id(properties.message_id or ""):
                    frame = await self._methods.basic_publish(message.body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True)
        except (ChannelLost, PublishRefused) as error:
            if not isinstance(error.__cause__, DeliveryError):  # a mere nack leaves the channel open
                self.end(str(error))
            raise
        if not isinstance(frame, Basic.Ack):
            raise PublishRefused(f"the broker answered a message for {routing_key!r} with {type(frame).__name__} instead of a confirm")

    async def get(self, queue: str, *, keep: Keep = OURS) -> RabbitDelivery | None:
        with translate_errors(f"the channel was lost while reading queue {queue!r}"), self._content.getting(keep):
            delivered = await self._methods.basic_get(queue, timeout=self._call_timeout)
        if isinstance(delivered.delivery, Basic.GetEmpty):
            return None
        return RabbitDelivery(delivered, queue, self, self._content.dropped_body_of(delivered))

    async def consume(self, queue: str, on_delivery: OnDelivery, *, arguments: Mapping[str, Any] | None = None, keep: Keep = OURS) -> str:
        def on_delivered(delivered: DeliveredMessage, dropped_body: DroppedBody | None) -> None:
            delivery: Delivery = RabbitDelivery(delivered, queue, self, dropped_body)
            on_delivery(delivery)

        tag = new_id()
        self._content.consuming(tag, on_delivered, keep)
        with translate_errors(f"the channel was lost while starting to consume queue {queue!r}"):
            await self._methods.basic_consume(queue, not_called, arguments=dict(arguments or {}), consumer_tag=tag, timeout=self._call_timeout)
        return tag

    async def cancel(self, tag: str) -> None:
        with translate_errors("the channel was lost while it stopped consuming"):
            await self._methods.basic_cancel(tag, timeout=self._call_timeout)

    async def wait_closed(self) -> str:
        return await asyncio.shield(self._end)

    @property
    def publishing(self) -> bool:
        """Whether a message waits for its confirm, or for another message with the same id."""
        return self._publishers > 0

    @property
    def closed(self) -> bool:
        return self._end.done()

    async def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, for `Delivery.ack`. It waits until the socket has written it: writing to a reset connection raises.

        `multiple`: also all earlier deliveries.
        """
        if await self._connection.turn_writer.write(Basic.Ack(tag, multiple), self._methods):
            return
        with translate_errors("the channel was lost before the message was acknowledged; the broker delivers it again"):
            async with asyncio.timeout(self._call_timeout):
                await self._methods.basic_ack(tag, multiple=multiple)

    async def ack_through(self, delivery: Delivery) -> None:
        if not isinstance(delivery, RabbitDelivery):
            raise TypeError(f"{delivery!r} is not of this channel")
        await self.ack(delivery.tag, multiple=True)

    async def ack_all(self) -> None:
        with translate_errors("the channel was lost before its deliveries were acknowledged"):
            await self._methods.basic_ack(ALL, multiple=True, wait=False)

    async def reject(self, tag: int, *, requeue: bool) -> None:
        """Reject a delivery, for `Delivery.reject` and `Delivery.give_back`."""
        with translate_errors("the channel was lost before the message was given back; the broker delivers it again"):
            async with asyncio.timeout(self._call_timeout):
                await self._methods.basic_reject(tag, requeue=requeue)

    @asynccontextmanager
    async def _exclusive_message_id(self, message_id: str) -> AsyncIterator[None]:
        """Wait until no other message with this id is in flight. A return names only the id: with two equal ones aiormq could inform the wrong publisher."""
        self._publishers += 1
        try:
            while message_id in self._in_flight:
                await self._in_flight[message_id].wait()
            self._in_flight[message_id] = asyncio.Event()
            try:
                yield
            finally:
                self._in_flight.pop(message_id).set()
        finally:
            self._publishers -= 1

    def _on_closing(self, closing: asyncio.Future[Any]) -> None:
        self.end("the connection was lost" if closing.cancelled() else explain(closing.exception()))

    def _on_consumer_cancelled(self, _: Basic.Cancel | Basic.CancelOk) -> None:
        self.end("the broker cancelled a consumer, its queue may be gone")

    def end(self, why: str) -> None:
        """End `wait_closed` with this reason; the first reason stays."""
        if not self._end.done():
            self._end.set_result(why)


async def not_called(_: DeliveredMessage) -> None:
    """The consumer for aiormq, which never calls it: `Content` reports the deliveries."""


@asynccontextmanager
async def open_channel(connection: AmqpConnection, *, prefetch: int, call_timeout: float) -> AsyncIterator[RabbitChannel]:
    """Open a channel. Raises `ChannelLost` when the connection is gone, or when the broker does not answer because of an alarm."""
    async with connection.methods(call_timeout) as methods:
        if prefetch:
            with translate_errors("the channel was lost while it was opened"):
                await methods.basic_qos(prefetch_count=prefetch, timeout=call_timeout)
        channel = RabbitChannel(methods, call_timeout, connection)
        try:
            yield channel
        finally:
            channel.end("it was closed here")
