"""Takes the messages of the runs of one process. A message for a run queue waits for the process itself; any other goes to its exchange."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.core.json_codec import decode
from worker.core.lanes import LanePart, Onward
from worker.core.message import Message
from worker.core.plan import PlannedEvent
from worker.core.ports import Publishing


@dataclass
class LocalBroker:
    """Implements `RunBroker`. `waiting`: messages with their queues. `exchanges`: where a message for an exchange goes."""

    exchanges: Publishing
    waiting: deque[tuple[Message, str]] = field(default_factory=deque)
    _parts: dict[str, dict[int, Mapping[str, Any]]] = field(default_factory=dict)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        if exchange:
            await self.exchanges.publish(message, routing_key=routing_key, exchange=exchange)
        else:
            self.waiting.append((message, routing_key))

    async def join(self, queue: str, part: LanePart, onward: Onward) -> bool:  # noqa: ARG002 - one process, one place
        parts = self._parts.setdefault(part.key, {})
        parts[part.lane] = part.document
        if len(parts) < part.lanes:
            return False
        self.waiting.append(onward(self._parts.pop(part.key)))
        return True


@dataclass
class EventRecorder:
    """Implements `Publishing` and keeps the events that would be published."""

    events: list[PlannedEvent] = field(default_factory=list)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        self.events.append(PlannedEvent(routing_key, decode(message.body), message.headers, exchange))
