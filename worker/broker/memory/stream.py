"""An embedded stream: a log that each consumer reads from its own offset. Acknowledgements only make room for more messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.broker.memory.entry import MemoryConsumer, QueueEntry
from worker.core.errors import ChannelLost
from worker.core.message import Message


class MemoryStream:
    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self._log: deque[QueueEntry] = deque()
        self._first = 0
        self._size = 0
        self._max_bytes: int | None = arguments.get("x-max-length-bytes")
        self._consumers: list[MemoryConsumer] = []
        self._dispatching = False

    @property
    def depth(self) -> int:
        return len(self._log)

    @property
    def consumers(self) -> int:
        return len(self._consumers)

    def put(self, message: Message, exchange: str, routing_key: str) -> None:
        self._log.append(QueueEntry(message, exchange, routing_key, self._first + len(self._log)))
        self._size += len(message.body)
        while self._max_bytes is not None and len(self._log) > 1 and self._size - len(self._log[0].message.body) >= self._max_bytes:
            self._size -= len(self._log.popleft().message.body)
            self._first += 1
        self._wake()

    def take(self) -> QueueEntry | None:
        raise ChannelLost(f"queue {self.name!r} is a stream: it is consumed, not got from")

    def put_back(self, entries: Iterable[QueueEntry]) -> None:
        """Do nothing: a stream keeps all messages anyway."""

    def settled(self, _: QueueEntry) -> None:
        self._wake()

    def rejected(self, _: QueueEntry) -> None:
        """Make room for more: a stream keeps all messages anyway."""
        self._wake()

    def delivered(self, entry: QueueEntry) -> Message:
        """The message as a consumer gets it."""
        return replace(entry.message, headers=dict(entry.message.headers) | {"x-stream-offset": entry.number})

    def add(self, consumer: MemoryConsumer, arguments: Mapping[str, Any]) -> None:
        """Add a consumer. Raises `ChannelLost` for one without prefetch, as RabbitMQ does."""
        if not consumer.limit:
            raise ChannelLost(f"consuming stream {self.name!r} needs a prefetch")
        consumer.position = self._start(arguments.get("x-stream-offset", "next"))
        self._consumers.append(consumer)
        self._wake()

    def remove(self, consumer: MemoryConsumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def delete(self) -> None:
        """Drop all messages and cancel the consumers."""
        self._log.clear()
        for consumer in list(self._consumers):
            consumer.on_cancelled("the broker cancelled a consumer, its queue may be gone")
        self._consumers.clear()

    def _start(self, offset: Any) -> int:
        end = self._first + len(self._log)
        match offset:
            case "first" | datetime():
                return self._first
            case "last":
                return max(end - 1, self._first)
            case int():
                return max(offset, self._first)
            case _:
                return end

    def _wake(self) -> None:
        if not self._dispatching and self._consumers:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        for consumer in list(self._consumers):
            consumer.position = max(consumer.position, self._first)
            while consumer.has_room and consumer.position < self._first + len(self._log):
                entry = self._log[consumer.position - self._first]
                consumer.position += 1
                consumer.unacked += 1
                consumer.deliver(entry)
