"""Declaring a topology on RabbitMQ: what is missing is created, what exists is compared and never changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed

from worker.broker.mismatch import Difference, mismatch
from worker.broker.rabbitmq.channel import open_methods
from worker.broker.rabbitmq.failures import explain, translated
from worker.core.errors import BrokerError, QueueMissing
from worker.core.topology import Binding, Queue, TopicExchange, Topology

log = structlog.get_logger()
DIFFERENT = re.compile(r"inequivalent arg '(?P<argument>[^']+)' for .*? in vhost .*?: received (?P<received>.*?) but current is (?P<current>.*)", re.DOTALL)
QUOTED = re.compile(r"'(?P<text>.*?)'?(?: of type '(?P<type>\w*)'?)?$", re.DOTALL)
MAX_DIFFERENCES = 20  # of one queue; it has fewer arguments than that


class Declarer:
    """Each question goes over a channel of its own, since the broker answers a difference by closing the channel."""

    def __init__(self, connection: AbstractConnection, patience: float) -> None:
        self._connection = connection
        self._patience = patience

    async def declare(self, topology: Topology) -> None:
        """As `Broker.declare`."""
        differences = [difference for exchange in topology.exchanges for difference in await self._exchange(exchange)]
        missing = []
        for queue in topology.queues:
            if queue.passive:
                missing += [] if await self.exists(queue.name) else [queue.name]
            else:
                differences += await self._queue(queue)
        if differences:
            raise mismatch(differences)
        if missing:
            raise QueueMissing(
                f"there is no queue {' and no queue '.join(map(repr, missing))}: a route takes it as it is (`declare: false`), so create it first"
            )
        for binding in topology.bindings:
            await self._bind(binding)

    async def exists(self, queue: str) -> bool:
        return await self.depth(queue) is not None

    async def depth(self, queue: str) -> int | None:
        """Messages ready, None when there is no such queue."""
        with translated(f"the broker was lost while asking for queue {queue!r}"):
            async with open_methods(self._connection, self._patience) as methods:
                try:
                    found = await methods.queue_declare(queue, passive=True, timeout=self._patience)
                except ChannelNotFoundEntity:
                    return None
        return found.message_count or 0

    async def _exchange(self, exchange: TopicExchange) -> list[Difference]:
        with translated(f"the broker was lost while declaring exchange {exchange.name!r}"):
            async with open_methods(self._connection, self._patience) as methods:
                try:
                    await methods.exchange_declare(exchange.name, exchange_type="topic", durable=True, timeout=self._patience)
                except ChannelPreconditionFailed as refused:
                    found = different("exchange", exchange.name, explain(refused))
                    # others may have given it an alternate exchange or the like: only what changes routing for us matters
                    return [found] if found.argument in {"type", "durable", "internal"} else []
                except ChannelAccessRefused as refused:
                    raise forbidden(f"declare exchange {exchange.name!r}", refused) from refused
        return []

    async def _queue(self, queue: Queue) -> list[Difference]:
        """The broker names only the first argument that differs, so it is asked again with that one as it stands."""
        differences: list[Difference] = []
        properties: dict[str, Any] = {"durable": True, "exclusive": False, "auto_delete": False}
        arguments = dict(queue.arguments)
        while len(differences) < MAX_DIFFERENCES:
            said = await self._ask(queue.name, properties, arguments)
            if not said:
                break
            found = different("queue", queue.name, said)
            if found.argument in {known.argument for known in differences}:
                break
            differences.append(found)
            if not adopt(said, properties, arguments):
                break
        return differences

    async def _ask(self, name: str, properties: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
        """Nothing when the queue is as asked, be it created now; else what the broker said."""
        with translated(f"the broker was lost while declaring queue {name!r}"):
            async with open_methods(self._connection, self._patience) as methods:
                try:
                    await methods.queue_declare(name, arguments=dict(arguments), timeout=self._patience, **properties)
                except ChannelPreconditionFailed as refused:
                    return explain(refused)
                except ChannelAccessRefused as refused:
                    if not await self.exists(name):
                        raise forbidden(f"declare queue {name!r}", refused) from refused
                    log.warning("queue.unverified", queue=name, reason="the broker's user may not declare it, so its arguments cannot be compared")
        return ""

    async def _bind(self, binding: Binding) -> None:
        with translated(f"the broker was lost while binding queue {binding.queue!r}"):
            async with open_methods(self._connection, self._patience) as methods:
                try:
                    await methods.queue_bind(binding.queue, binding.exchange, binding.routing_key, timeout=self._patience)
                except ChannelAccessRefused as refused:
                    raise forbidden(f"bind queue {binding.queue!r} to exchange {binding.exchange!r}", refused) from refused


def forbidden(doing: str, refused: ChannelAccessRefused) -> BrokerError:
    return BrokerError(f"the broker's user may not {doing}: {explain(refused)}")


def different(kind: str, name: str, said: str) -> Difference:
    """What the broker's refusal tells; its text is at most 255 bytes long and may be cut."""
    found = DIFFERENT.search(said)
    if found is None:
        return Difference(kind, name, "properties that the broker calls", said, None)
    return Difference(kind, name, found["argument"], plain(found["current"]), plain(found["received"]))


def plain(told: str) -> str | None:
    """`the value '5' of type 'long'` is 5, `none` is None."""
    found = QUOTED.search(told)
    return found["text"] if found else None


def adopt(said: str, properties: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Make the next question agree with what is there; False when that cannot be told."""
    found = DIFFERENT.search(said)
    if found is None:
        return False
    argument, current = found["argument"], plain(found["current"])
    if argument in properties:
        properties[argument] = current == "true"
    elif current is None:
        arguments.pop(argument, None)
    else:
        kind = QUOTED.search(found["current"])
        is_number = kind is not None and kind["type"] not in {None, "longstr"}
        arguments[argument] = int(current) if is_number and current.lstrip("-").isdecimal() else current
    return True
