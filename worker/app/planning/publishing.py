"""A broker in place of RabbitMQ that records the messages published to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.core.exact_numbers import loads
from worker.core.message import Message
from worker.core.plan import PlannedEvent
from worker.flows.local.delivery import LocalLedger


@dataclass(frozen=True, slots=True)
class PublishedMessage:
    """A message with its destination."""

    message: Message
    routing_key: str
    exchange: str

    @property
    def event(self) -> PlannedEvent:
        return PlannedEvent(self.routing_key, loads(self.message.body), self.message.headers, self.exchange)


@dataclass
class PublishRecorder(LocalLedger):
    """Implements `Publishing` and `IntakeBroker`: takes every message."""

    published: list[PublishedMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        self.published.append(PublishedMessage(message, routing_key, exchange))
