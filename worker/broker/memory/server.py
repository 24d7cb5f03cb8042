"""The server of an embedded broker: its exchanges and queues, and its attachments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from worker.broker.memory.queue import MemoryQueue
from worker.broker.memory.stream import MemoryStream
from worker.broker.memory.topics import MATCHING
from worker.broker.mismatch import TopologyDifference, absent, mismatch
from worker.core.errors import PublishRefused, Unroutable
from worker.core.message import Message
from worker.core.topology import ExchangeType, Queue, Topology


class ServerAttachment(Protocol):
    def lose(self, why: str) -> None: ...


class MemoryServer:
    """Attachments to the same server see the same queues. It lives as long as the process, and belongs to one event loop."""

    def __init__(self) -> None:
        self._queues: dict[str, MemoryQueue | MemoryStream] = {}
        self._bindings: dict[str, list[tuple[str, str]]] = {}
        self._types: dict[str, ExchangeType] = {}
        self.attached: set[ServerAttachment] = set()
        self.locks: dict[str, ServerAttachment] = {}

    def cut(self, why: str = "the connection was cut") -> None:
        """Lose all attachments at once, as when the server stops; queues and messages stay."""
        for attachment in list(self.attached):
            attachment.lose(why)

    def queue(self, name: str) -> MemoryQueue | MemoryStream | None:
        return self._queues.get(name)

    def has_exchange(self, name: str) -> bool:
        """Whether the exchange exists. The default exchange, whose name is empty, always does."""
        return not name or name in self._bindings

    def depth(self, name: str) -> int | None:
        found = self._queues.get(name)
        return None if found is None else found.depth

    def publish(self, message: Message, exchange: str, routing_key: str) -> None:
        """Put the message into the bound queues. Raises `Unroutable` (also for a missing exchange), or `PublishRefused` when a queue is full."""
        targets = self._targets(exchange, routing_key)
        if not targets:
            place = f"exchange {exchange!r} with routing key {routing_key!r}" if exchange else f"queue {routing_key!r}"
            raise Unroutable(f"no queue takes messages of {place}")
        refused = None
        for target in targets:
            try:
                target.put(message, exchange, routing_key)
            except PublishRefused as error:
                refused = error
        if refused is not None:
            raise refused

    def declare(self, topology: Topology) -> None:
        """As `Broker.declare`."""
        differences = [difference for queue in topology.queues if not queue.passive for difference in self._differences(queue)]
        if differences:
            raise mismatch(differences)
        for exchange in topology.exchanges:
            self._bindings.setdefault(exchange.name, [])
            self._types.setdefault(exchange.name, exchange.type)
        for queue in topology.queues:
            if not queue.passive and queue.name not in self._queues:
                self._queues[queue.name] = self._make(queue.name, queue.arguments)
        missing = [queue.name for queue in topology.queues if queue.name not in self._queues]
        if missing:
            raise absent(missing)
        for binding in topology.bindings:
            bound = self._bindings.setdefault(binding.exchange, [])
            if (binding.routing_key, binding.queue) not in bound:
                bound.append((binding.routing_key, binding.queue))

    def delete_queue(self, name: str) -> None:
        """Delete a queue as an operator does by hand: its consumers are cancelled, its bindings are deleted."""
        self._queues.pop(name).delete()
        for bound in self._bindings.values():
            bound[:] = [(key, queue) for key, queue in bound if queue != name]

    def delete_exchange(self, name: str) -> None:
        """Delete an exchange and its bindings."""
        self._bindings.pop(name, None)
        self._types.pop(name, None)

    def _targets(self, exchange: str, routing_key: str) -> list[MemoryQueue | MemoryStream]:
        if not exchange:
            return [self._queues[routing_key]] if routing_key in self._queues else []
        match = MATCHING[self._types.get(exchange, "topic")]
        names = dict.fromkeys(queue for pattern, queue in self._bindings.get(exchange, []) if match(pattern, routing_key))
        return [self._queues[name] for name in names]

    def _make(self, name: str, arguments: Mapping[str, Any]) -> MemoryQueue | MemoryStream:
        if arguments.get("x-queue-type") == "stream":
            return MemoryStream(name, arguments)
        return MemoryQueue(name, arguments, self._route_dead_letter)

    def _route_dead_letter(self, message: Message, exchange: str, routing_key: str) -> bool:
        try:
            self.publish(message, exchange, routing_key)
        except (Unroutable, PublishRefused):
            return False
        return True

    def _differences(self, queue: Queue) -> list[TopologyDifference]:
        existing = self._queues.get(queue.name)
        if existing is None:
            return []
        has, needs = existing.arguments, queue.arguments
        names = sorted(name for name in {*has, *needs} if has.get(name) != needs.get(name))
        return [TopologyDifference("queue", queue.name, name, text(has.get(name)), text(needs.get(name))) for name in names]


def text(value: Any) -> str | None:
    return None if value is None else str(value)
