"""A message as the worker publishes it, and a delivery as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Protocol, Self

UNREADABLE_HEADERS = "x-unreadable-headers"
"""The only header of a message whose headers could not be read; a text as its value gives the reason."""
NO_HEADERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a broker. `expiration` is in seconds. Each publish fills an empty `message_id` with a new id.

    A copy keeps all properties of its original except `expiration` and the sender's `user_id`, which the broker accepts from that user only.
    """

    body: bytes
    headers: Mapping[str, Any] = field(default_factory=lambda: NO_HEADERS)
    message_id: str = ""
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = "application/json"
    type: str | None = None
    timestamp: datetime | None = None
    expiration: float | None = None
    content_encoding: str | None = None
    app_id: str | None = None
    priority: int | None = None

    def with_headers(self, **headers: Any) -> Self:
        """A copy whose headers also hold these; underscores in the names become hyphens, None removes a header."""
        merged = dict(self.headers) | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in merged.items() if value is not None})


VALUE_BYTES = 64  # memory of an object and its place in a table
STATE_LIMIT = 4 * 1024 * 1024  # bytes: more than any message that the worker writes for itself


@dataclass(frozen=True, slots=True)
class Announced:
    """A message whose body of `size` bytes is about to come."""

    size: int
    message_id: str
    redelivered: bool


Keep = Callable[[Announced], bool]
"""Whether to keep the body of a message. The channel calls it once for each message with a body, right before the body comes."""


def up_to(limit: int) -> Keep:
    """Keeps bodies of at most `limit` bytes."""
    return lambda announced: announced.size <= limit


OURS = up_to(STATE_LIMIT)


@dataclass(frozen=True, slots=True)
class DroppedBody:
    """A body that was not kept: its size in bytes and its `digest`."""

    size: int
    digest: bytes


def digest(body: bytes) -> bytes:
    """The digest of a body, 16 bytes: it differs from body to body."""
    return new_digest(body).digest()


def new_digest(start: bytes = b"") -> blake2b:
    """The hash of `digest`, for a body that comes in pieces."""
    return blake2b(start, digest_size=16)


class Delivery(Protocol):
    """A message that the worker holds until it acknowledges it. When the channel closes, it returns to its queue."""

    @property
    def message(self) -> Message: ...
    @property
    def queue(self) -> str: ...
    @property
    def exchange(self) -> str: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def redelivered(self) -> bool:
        """Whether the broker delivered it before. False is certain; True does not prove that a worker has started it."""
        ...

    @property
    def offset(self) -> int | None:
        """The position in a stream; None for a queue."""
        ...

    @property
    def dropped_body(self) -> DroppedBody | None:
        """Set where the body was not kept: `message.body` is then empty."""
        ...

    @property
    def digest(self) -> bytes:
        """The digest of its body, kept or not. Compute it once: for 16 MB that takes 20 ms."""
        ...

    async def ack(self) -> None:
        """Acknowledge it: the broker removes it from the queue. Raises `ChannelLost` when its channel is gone: the broker then delivers it again."""
        ...

    async def reject(self) -> None:
        """Let the broker dead-letter it as the queue defines; a queue without a dead-letter target drops it. Raises `ChannelLost`."""
        ...

    async def give_back(self) -> None:
        """Return it to its place in its queue, unstarted; the broker counts the delivery. Raises `ChannelLost`."""
        ...


def memory_of(message: Message) -> int:
    """About how many bytes a message takes in memory with its headers, rather too many than too few."""
    return len(message.body) + weight_of_value(message.headers)


def weight_of_value(value: Any) -> int:
    """Bytes of memory that a header's value takes: up to four for each character of a text."""
    if isinstance(value, str):
        return VALUE_BYTES + (len(value) if value.isascii() else 4 * len(value))
    if isinstance(value, Mapping):
        return VALUE_BYTES + sum(weight_of_value(name) + weight_of_value(item) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return VALUE_BYTES + sum(map(weight_of_value, value))
    return VALUE_BYTES + (len(value) if isinstance(value, bytes) else 0)


def digest_of(message: Message, dropped_body: DroppedBody | None) -> bytes:
    """The digest of a delivery's body, kept or not."""
    return digest(message.body) if dropped_body is None else dropped_body.digest


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """The identity of a message: queue, id and content. Senders choose ids freely, so an id alone proves nothing."""
    return delivery.queue, delivery.message.message_id, delivery.digest
