"""Declares a topology on RabbitMQ: the worker creates missing queues and exchanges, compares existing queues, and changes nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiormq.abc import AbstractChannel as Methods
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.commands import Queue as Queues

from worker.broker.mismatch import TopologyDifference, absent, mismatch
from worker.broker.rabbitmq.connection import AmqpConnection
from worker.broker.rabbitmq.failures import explain, translate_errors
from worker.core.errors import BrokerError, QueueMissing
from worker.core.topology import AmqpExchange, Binding, Queue, Topology

log = structlog.get_logger()
DIFFERENT = re.compile(r"inequivalent arg '(?P<argument>[^']+)' for .*? in vhost .*?: received (?P<received>.*?) but current is (?P<current>.*)", re.DOTALL)
QUOTED = re.compile(r"'(?P<text>.*?)'?(?: of type '(?P<type>\w*)'?)?$", re.DOTALL)
MAX_CHANNELS = 4  # a new quorum queue takes 13 to 20 ms over one channel, a quarter over four, and no less over eight
QUEUES_PER_CHANNEL = 8
MAX_DIFFERENCES = 20  # of one queue, which has fewer arguments than that


async def declare(connection: AmqpConnection, topology: Topology, call_timeout: float) -> None:
    """Declare as `Broker.declare`, queues and bindings over several channels at once: the broker answers each channel in order."""
    declarers = [Declarer(connection, call_timeout) for _ in range(min(MAX_CHANNELS, 1 + len(topology.queues) // QUEUES_PER_CHANNEL))]
    try:
        await declarers[0].exchanges(topology)
        queues, bindings = iter(topology.queues), iter(topology.bindings)  # shared: each channel takes the next one
        await gather_all(declarer.queues(queues) for declarer in declarers)
        if differences := [difference for declarer in declarers for difference in declarer.differences]:
            raise mismatch(differences)
        if missing := [name for declarer in declarers for name in declarer.missing]:
            raise absent(sorted(missing))
        await gather_all(declarer.bindings(bindings) for declarer in declarers)
    finally:
        await gather_all(declarer.close() for declarer in declarers)


async def gather_all(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait until all have ended, then raise the first error."""
    for result in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


class Declarer:
    """Declares over one channel. The broker closes it to refuse a declaration; then the declarer opens it again.

    `differences`, `missing`: its findings so far.
    """

    def __init__(self, connection: AmqpConnection, call_timeout: float) -> None:
        self._connection = connection
        self._timeout = call_timeout
        self._opened = AsyncExitStack()
        self._methods: Methods | None = None
        self.differences: list[TopologyDifference] = []
        self.missing: list[str] = []

    async def close(self) -> None:
        self._methods = None
        await self._opened.aclose()

    async def exchanges(self, topology: Topology) -> None:
        """Declare missing exchanges and take existing ones as they are. Log a binding that can match nothing there."""
        for exchange in topology.exchanges:
            kind = await self._exchange(exchange)
            if kind is None:
                continue
            keys = [binding.routing_key for binding in topology.bindings if binding.exchange == exchange.name]
            if kind == "direct" and (wild := [key for key in keys if {"*", "#"} & set(key.split("."))]):
                log.warning(
                    "exchange.taken", exchange=exchange.name, type=kind, reason=f"a direct exchange compares whole routing keys: {wild[0]!r} gets nothing"
                )
            else:
                log.info("exchange.taken", exchange=exchange.name, type=kind)

    async def queues(self, queues: Iterator[Queue]) -> None:
        for queue in queues:
            if not queue.passive:
                self.differences += await self._queue(queue)
            elif await queue_depth(self._connection, queue.name, self._timeout) is None:
                self.missing.append(queue.name)

    async def bindings(self, bindings: Iterator[Binding]) -> None:
        for binding in bindings:
            await self._bind(binding)

    async def _exchange(self, exchange: AmqpExchange) -> str | None:
        """Declare the exchange if it is missing. Return the type of an existing one if the broker reports that it differs, else None."""
        try:
            async with self._asking(f"declare exchange {exchange.name!r}") as methods:
                await methods.exchange_declare(exchange.name, exchange_type=exchange.type, durable=True, timeout=self._timeout)
        except DeclarationRefused as refused:
            found = different("exchange", exchange.name, str(refused))
            return found.existing if found.argument == "type" else None
        except DeclarationForbidden:
            if not await self._has_exchange(exchange.name):
                raise
        return None

    async def _has_exchange(self, name: str) -> bool:
        """Whether the exchange exists. This check needs no permission."""
        try:
            async with self._asking(f"look for exchange {name!r}") as methods:
                await methods.exchange_declare(name, passive=True, timeout=self._timeout)
        except BrokerError as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                return False
            raise
        return True

    async def _queue(self, queue: Queue) -> list[TopologyDifference]:
        """Declare a queue, and return its differences. The broker names only the first one, so ask again with that argument as it exists."""
        differences: list[TopologyDifference] = []
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
        """Declare a queue. Return an empty text when it exists as declared, else the broker's answer."""
        try:
            async with self._asking(f"declare queue {name!r}") as methods:
                await methods.queue_declare(name, arguments=dict(arguments), timeout=self._timeout, **properties)
        except DeclarationRefused as refused:
            return str(refused)
        except DeclarationForbidden:
            if await queue_depth(self._connection, name, self._timeout) is None:
                raise
            log.warning("queue.unverified", queue=name, reason="the broker's user may not declare it, so its arguments cannot be compared")
        return ""

    async def _bind(self, binding: Binding) -> None:
        async with self._asking(f"bind queue {binding.queue!r} to exchange {binding.exchange!r}") as methods:
            await methods.queue_bind(binding.queue, binding.exchange, binding.routing_key, timeout=self._timeout)

    @asynccontextmanager
    async def _asking(self, doing: str) -> AsyncIterator[Methods]:
        """The channel for one question. Raises `DeclarationRefused`, `DeclarationForbidden`, `QueueMissing` or `ChannelLost`."""
        if self._methods is None:
            self._methods = await self._opened.enter_async_context(self._connection.methods(self._timeout))
        try:
            with translate_errors(f"the broker was lost when asked to {doing}"):
                yield self._methods
        except BrokerError as error:
            self._methods = None
            await self._opened.aclose()
            said = error.__cause__
            if isinstance(said, ChannelPreconditionFailed):
                raise DeclarationRefused(explain(said)) from error
            if isinstance(said, ChannelAccessRefused):
                raise DeclarationForbidden(f"the broker's user may not {doing}: {explain(said)}; `halo-worker permissions` prints what it needs") from error
            raise


class DeclarationRefused(BrokerError):
    """The existing queue or exchange differs from the declaration."""


class DeclarationForbidden(BrokerError):
    """The broker's user lacks the permission."""


async def queue_depth(connection: AmqpConnection, queue: str, call_timeout: float) -> int | None:
    """The number of ready messages, None when there is no such queue."""
    found = await inspect_queue(connection, queue, call_timeout)
    return None if found is None else found.message_count or 0


async def inspect_queue(connection: AmqpConnection, queue: str, call_timeout: float) -> Queues.DeclareOk | None:
    """The broker's counts of a queue, None when it does not exist; over a separate channel."""
    inspector = Inspector(connection, call_timeout)
    try:
        return await inspector.ask(queue)
    finally:
        await inspector.close()


class Inspector:
    """Asks about queues over one channel, one question after the other. The broker closes it for a missing queue; then the inspector opens it again."""

    def __init__(self, connection: AmqpConnection, call_timeout: float) -> None:
        self._connection = connection
        self._timeout = call_timeout
        self._turn = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._methods: Methods | None = None

    async def ask(self, queue: str) -> Queues.DeclareOk | None:
        """The broker's counts of a queue, None when it does not exist. Raises `ChannelLost`."""
        async with self._turn:
            if self._methods is None or self._methods.is_closed:
                await self._opened.aclose()
                self._methods = await self._opened.enter_async_context(self._connection.methods(self._timeout))
            found = None
            try:
                with translate_errors(f"the broker was lost while asking for queue {queue!r}"):
                    found = await self._methods.queue_declare(queue, passive=True, timeout=self._timeout)
            except QueueMissing:
                return None
            finally:
                if found is None:  # after an unanswered question the channel is not usable for the next one
                    await self._close()
            return found

    async def close(self) -> None:
        async with self._turn:
            await self._close()

    async def _close(self) -> None:
        self._methods = None
        await self._opened.aclose()


def different(kind: str, name: str, text: str) -> TopologyDifference:
    """The difference in the broker's refusal, whose text is at most 255 bytes long and may be cut."""
    found = DIFFERENT.search(text)
    if found is None:
        return TopologyDifference(kind, name, "", text, None)
    return TopologyDifference(kind, name, found["argument"], readable_value(found["current"]), readable_value(found["received"]))


def readable_value(text: str) -> str | None:
    """The value in the broker's words: 5 for `the value '5' of type 'long'`, None for `none`."""
    found = QUOTED.search(text)
    return found["text"] if found else None


def adopt(text: str, properties: dict[str, Any], arguments: dict[str, Any]) -> bool:
    """Change the next declaration to the existing value. False when the broker's text does not show it."""
    found = DIFFERENT.search(text)
    if found is None:
        return False
    argument, current = found["argument"], readable_value(found["current"])
    if argument in properties:
        properties[argument] = current == "true"
    elif current is None:
        arguments.pop(argument, None)
    else:
        kind = QUOTED.search(found["current"])
        is_number = kind is not None and kind["type"] not in {None, "longstr"}
        arguments[argument] = int(current) if is_number and current.lstrip("-").isdecimal() else current
    return True
