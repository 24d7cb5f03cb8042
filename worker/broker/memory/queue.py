"""An embedded queue: order, time to live from the head, redelivery with a limit, dead-lettering, length limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from worker.broker.memory.entry import MemoryConsumer, QueueEntry, dead_letter
from worker.core.errors import PublishRefused
from worker.core.message import Message

UNDELIVERED_RETRY = 0.2  # seconds until a dead letter whose target is missing or full is tried again

Route = Callable[[Message, str, str], bool]


class MemoryQueue:
    """An embedded queue. `route` publishes a dead letter (message, exchange, routing key) and returns whether a queue took it."""

    def __init__(self, name: str, arguments: Mapping[str, Any], route: Route) -> None:
        self.name = name
        self.arguments = dict(arguments)
        self._route = route
        self._ready: deque[QueueEntry] = deque()
        self._consumers: deque[MemoryConsumer] = deque()
        self._undelivered: list[tuple[Message, str]] = []
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._dispatching = False
        self._limit: int | None = arguments.get("x-delivery-limit")
        self._lifetime: int | None = arguments.get("x-message-ttl")
        self._max_length: int | None = arguments.get("x-max-length")

    @property
    def depth(self) -> int:
        self._expire()
        return len(self._ready)

    @property
    def consumers(self) -> int:
        return len(self._consumers)

    def put(self, message: Message, exchange: str, routing_key: str) -> None:
        """Add a message. Raises `PublishRefused` when the queue is full and refuses more."""
        self._expire()
        if self._max_length is not None and len(self._ready) >= self._max_length:
            if self.arguments.get("x-overflow") == "reject-publish":
                raise PublishRefused(f"the broker refused a message to queue {self.name!r}: a queue is full or cannot be reached")
            while self._ready and len(self._ready) >= self._max_length:
                self._dead_letter(self._ready.popleft(), "maxlen")
        lifetimes = [seconds for seconds in (message.expiration, self._lifetime and self._lifetime / 1000) if seconds is not None]
        deadline = asyncio.get_running_loop().time() + min(lifetimes) if lifetimes else None
        self._ready.append(QueueEntry(message, exchange, routing_key, self._next, deadline))
        self._next += 1
        self._wake()

    def take(self) -> QueueEntry | None:
        self._expire()
        entry = self._ready.popleft() if self._ready else None
        self._arm()
        return entry

    def put_back(self, entries: Iterable[QueueEntry]) -> None:
        """Return unacknowledged entries to their old places. An entry that came back too often is dead-lettered."""
        kept = []
        for entry in entries:
            entry.returned += 1
            if self._limit is not None and entry.returned > self._limit:
                self._dead_letter(entry, "delivery_limit")
            else:
                kept.append(entry)
        self._ready = deque(sorted([*kept, *self._ready], key=lambda entry: entry.number))
        self._wake()

    def settled(self, _: QueueEntry) -> None:
        """Note that an entry was acknowledged: its consumer may have room again."""
        self._wake()

    def rejected(self, entry: QueueEntry) -> None:
        """Dead-letter a rejected entry."""
        self._dead_letter(entry, "rejected")
        self._wake()

    def delivered(self, entry: QueueEntry) -> Message:
        """The message as a consumer gets it."""
        if self.arguments.get("x-queue-type") != "quorum":
            return entry.message
        return replace(entry.message, headers=dict(entry.message.headers) | {"x-delivery-count": entry.returned})

    def add(self, consumer: MemoryConsumer, _: Mapping[str, Any]) -> None:
        self._consumers.append(consumer)
        self._wake()

    def remove(self, consumer: MemoryConsumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def delete(self) -> None:
        """Drop all messages and cancel the consumers."""
        self._ready.clear()
        self._undelivered.clear()
        for consumer in list(self._consumers):
            consumer.on_cancelled("the broker cancelled a consumer, its queue may be gone")
        self._consumers.clear()

    def purge(self) -> int:
        count = len(self._ready)
        self._ready.clear()
        return count

    def _wake(self) -> None:
        """Deliver on a later turn of the loop, as from a socket: never inside a call of `publish`."""
        self._arm()
        if not self._dispatching and self._consumers and self._ready:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        self._expire()
        while self._ready and (consumer := self._free_consumer()):
            entry = self._ready.popleft()
            consumer.unacked += 1
            consumer.deliver(entry)
            self._expire()
        self._arm()

    def _free_consumer(self) -> MemoryConsumer | None:
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.has_room:
                return consumer
        return None

    def _expire(self) -> None:
        """Dead-letter expired entries at the head only: an entry with a long lifetime holds up the entries behind it."""
        now = asyncio.get_running_loop().time()
        while self._ready and (deadline := self._ready[0].deadline) is not None and deadline <= now:
            self._dead_letter(self._ready.popleft(), "expired")

    def _arm(self) -> None:
        """Set the timer: to the expiry of the head, or to a soon retry while a dead letter waits for its target."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        moments = [loop.time() + UNDELIVERED_RETRY] if self._undelivered else []
        if self._ready and (deadline := self._ready[0].deadline) is not None:
            moments.append(deadline)
        if moments:
            self._timer = loop.call_at(min(moments), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._expire()
        waiting, self._undelivered = self._undelivered, []
        for message, routing_key in waiting:
            self._publish_dead_letter(message, routing_key)
        self._wake()

    def _dead_letter(self, entry: QueueEntry, reason: str) -> None:
        if "x-dead-letter-exchange" in self.arguments:
            routing_key = self.arguments.get("x-dead-letter-routing-key", entry.routing_key)
            self._publish_dead_letter(dead_letter(entry, self.name, reason), routing_key)

    def _publish_dead_letter(self, message: Message, routing_key: str) -> None:
        taken = self._route(message, self.arguments["x-dead-letter-exchange"], routing_key)
        if not taken and self.arguments.get("x-dead-letter-strategy") == "at-least-once":
            self._undelivered.append((message, routing_key))
            self._arm()
