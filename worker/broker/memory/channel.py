"""A channel of the embedded broker, and its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from itertools import count
from typing import Any, NoReturn

from worker.broker.amqp_types import from_field, short, short_properties, to_milliseconds, to_moment, to_table
from worker.broker.memory.entry import MemoryConsumer, QueueEntry
from worker.broker.memory.queue import MemoryQueue
from worker.broker.memory.server import MemoryServer
from worker.broker.memory.stream import MemoryStream
from worker.core.entropy import new_id
from worker.core.errors import BrokerError, ChannelLost, PublishRefused, QueueMissing
from worker.core.message import OURS, Announced, Delivery, DroppedBody, Keep, Message, digest, digest_of
from worker.core.ports import OnDelivery


class MemoryDelivery:
    """An unacknowledged message of this channel."""

    def __init__(self, channel: MemoryChannel, held: UnackedEntry, tag: int, *, kept: bool) -> None:
        entry = held.entry
        message = held.queue.delivered(entry)
        self.message = message if kept else replace(message, body=b"")
        self.dropped_body = None if kept else DroppedBody(len(message.body), digest(message.body))
        self.queue = held.queue.name
        self.exchange = entry.exchange
        self.routing_key = entry.routing_key
        self.redelivered = entry.returned > 0
        self.offset = entry.number if isinstance(held.queue, MemoryStream) else None
        self._channel = channel
        self.tag = tag

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


class UnackedEntry:
    """An unacknowledged entry, with its queue and the consumer whose limit it counts for."""

    def __init__(self, queue: MemoryQueue | MemoryStream, entry: QueueEntry, consumer: MemoryConsumer | None) -> None:
        self.queue = queue
        self.entry = entry
        self.consumer = consumer


class MemoryChannel:
    """A channel of the embedded broker. Every call first gives the event loop a turn, as a socket would."""

    def __init__(self, server: MemoryServer, prefetch: int) -> None:
        self._server = server
        self._prefetch = prefetch
        self._tags = count(1)
        self._held: dict[int, UnackedEntry] = {}
        self._consuming: dict[str, tuple[MemoryQueue | MemoryStream, MemoryConsumer]] = {}
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        routing_key = short("routing key", routing_key)
        carried = as_transmitted(message)
        await self._turn("the channel was lost while publishing; the message may be stored")
        if not self._server.has_exchange(exchange):
            self._refuse(PublishRefused(f"there is no exchange {exchange!r}"))
        self._server.publish(carried, exchange, routing_key)

    async def get(self, queue: str, *, keep: Keep = OURS) -> MemoryDelivery | None:
        await self._turn(f"the channel was lost while reading queue {queue!r}")
        source = self._queue(queue)
        entry = source.take()
        return None if entry is None else self._hold(UnackedEntry(source, entry, None), keep)

    async def consume(self, queue: str, on_delivery: OnDelivery, *, arguments: Mapping[str, Any] | None = None, keep: Keep = OURS) -> str:
        await self._turn(f"the channel was lost while starting to consume queue {queue!r}")
        source = self._queue(queue)
        tag = new_id()

        def deliver(entry: QueueEntry) -> None:
            on_delivery(self._hold(UnackedEntry(source, entry, consumer), keep))

        consumer = MemoryConsumer(self._prefetch, deliver, self._lose_consumer)
        source.add(consumer, arguments or {})
        self._consuming[tag] = (source, consumer)
        return tag

    async def cancel(self, tag: str) -> None:
        await self._turn("the channel was lost while it stopped consuming")
        source, consumer = self._consuming.pop(tag, (None, None))
        if source is not None and consumer is not None:
            source.remove(consumer)

    async def wait_closed(self) -> str:
        return await asyncio.shield(self._end)

    async def ack(self, tag: int) -> None:
        """Acknowledge a delivery, for `Delivery.ack`."""
        if (held := await self._remove_unacked(tag)) is not None:
            held.queue.settled(held.entry)

    async def ack_through(self, delivery: Delivery) -> None:
        if not isinstance(delivery, MemoryDelivery):
            raise TypeError(f"{delivery!r} is not of this channel")
        for tag in [tag for tag in self._held if tag < delivery.tag]:
            await self.ack(tag)
        await self.ack(delivery.tag)

    async def ack_all(self) -> None:
        for tag in list(self._held):
            await self.ack(tag)

    async def reject(self, tag: int, *, requeue: bool) -> None:
        """Reject a delivery, for `Delivery.reject` and `Delivery.give_back`."""
        if (held := await self._remove_unacked(tag)) is not None:
            if requeue:
                held.queue.put_back([held.entry])
            else:
                held.queue.rejected(held.entry)

    async def _remove_unacked(self, tag: int) -> UnackedEntry | None:
        await self._turn("the channel was lost before the message was acknowledged; the broker delivers it again")
        held = self._held.pop(tag, None)
        if held is None:
            self.close(f"delivery {tag} was acknowledged twice")
        elif held.consumer is not None:
            held.consumer.unacked -= 1
        return held

    def close(self, why: str) -> None:
        """Return the unacknowledged messages to their queues; the first reason stays."""
        for source, consumer in self._consuming.values():
            source.remove(consumer)
        self._consuming.clear()
        held, self._held = self._held, {}
        for queue in {id(item.queue): item.queue for item in held.values()}.values():
            queue.put_back(item.entry for item in held.values() if item.queue is queue)
        if not self._end.done():
            self._end.set_result(why)

    def _queue(self, name: str) -> MemoryQueue | MemoryStream:
        found = self._server.queue(name)
        return found if found is not None else self._refuse(QueueMissing(f"there is no queue {name!r}"))

    def _refuse(self, error: BrokerError) -> NoReturn:
        """Close the channel and raise the error, as AMQP does for a missing queue or exchange."""
        self.close(str(error))
        raise error

    def _hold(self, held: UnackedEntry, keep: Keep) -> MemoryDelivery:
        tag = next(self._tags)
        self._held[tag] = held
        message = held.entry.message
        kept = not message.body or keep(Announced(len(message.body), message.message_id, held.entry.returned > 0))
        return MemoryDelivery(self, held, tag, kept=kept)

    def _lose_consumer(self, why: str) -> None:
        if not self._end.done():
            self._end.set_result(why)

    async def _turn(self, lost: str) -> None:
        await asyncio.sleep(0)
        if self._end.done():
            raise ChannelLost(f"{lost}: {self._end.result()}")


def as_transmitted(message: Message) -> Message:
    """The message as AMQP would carry it, so that both brokers deliver the same. Raises `PublishRefused` for a message that AMQP cannot carry."""
    texts: dict[str, Any] = short_properties(message)
    return replace(
        message,
        **texts,
        body=bytes(message.body),
        headers=from_field(to_table(message.headers)),
        timestamp=to_moment(message.timestamp),
        expiration=None if message.expiration is None else to_milliseconds(message.expiration) / 1000,
    )
