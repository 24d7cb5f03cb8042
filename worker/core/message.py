"""What travels: a message as it is published, and a delivery as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Protocol, Self

UNREADABLE_HEADERS = "x-unreadable-headers"
"""Stands alone for headers that could not be read; a text says why."""
NO_HEADERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a broker. `expiration` is in seconds; an empty `message_id` is filled with a fresh one at each publish.

    A copy keeps all properties of its original but the sender's `user_id`, which the broker accepts from that user only, and `expiration`.
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


VALUE_BYTES = 64  # of an object and its place in a table
STATE_LIMIT = 4 * 1024 * 1024  # bytes: more than any message that the worker writes for itself


@dataclass(frozen=True, slots=True)
class Announced:
    """A message whose body of `size` bytes is about to come."""

    size: int
    message_id: str
    redelivered: bool


Keep = Callable[[Announced], bool]
"""Whether the body of a message is kept; asked once for each that has one, right before it comes."""


def up_to(limit: int) -> Keep:
    """Keeps bodies of at most `limit` bytes."""
    return lambda announced: announced.size <= limit


OURS = up_to(STATE_LIMIT)


@dataclass(frozen=True, slots=True)
class Unread:
    """A body that was not kept: how many bytes it has, and what `digest` makes of them."""

    size: int
    digest: bytes


def digest(body: bytes) -> bytes:
    """What tells one body from another, 16 bytes."""
    return new_digest(body).digest()


def new_digest(start: bytes = b"") -> blake2b:
    """As `digest`, for a body that comes in pieces."""
    return blake2b(start, digest_size=16)


class Delivery(Protocol):
    """A message in our hands: it is ours until it is acked, and goes back to its queue when the channel closes."""

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
        """True when it was handed out before; False is certain, True may be a copy that no worker has started."""
        ...

    @property
    def offset(self) -> int | None:
        """The position in a stream; None for a queue."""
        ...

    @property
    def unread(self) -> Unread | None:
        """Set where the body was not kept: `message.body` is then empty."""
        ...

    async def ack(self) -> None:
        """Take it off the queue. Raises `ChannelLost` when its channel has gone: the broker then hands it out again."""
        ...

    async def reject(self) -> None:
        """Have the broker dead-letter it as its queue says; a queue without a dead-letter target drops it. Raises `ChannelLost`."""
        ...

    async def give_back(self) -> None:
        """Return it to its place in its queue, unstarted; the broker counts the delivery. Raises `ChannelLost`."""
        ...


def memory_of(message: Message) -> int:
    """Bytes that a message takes in memory, its headers included: about, and rather too many."""
    return len(message.body) + weight_of_value(message.headers)


def weight_of_value(value: Any) -> int:
    """Bytes that a header's value takes: text up to four for each character."""
    if isinstance(value, str):
        return VALUE_BYTES + (len(value) if value.isascii() else 4 * len(value))
    if isinstance(value, Mapping):
        return VALUE_BYTES + sum(weight_of_value(name) + weight_of_value(item) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return VALUE_BYTES + sum(map(weight_of_value, value))
    return VALUE_BYTES + (len(value) if isinstance(value, bytes) else 0)


def digest_of(delivery: Delivery) -> bytes:
    """The digest of its body, kept or not."""
    return digest(delivery.message.body) if delivery.unread is None else delivery.unread.digest


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """What makes a message the same message: queue, id and content. Senders choose ids freely, so an id alone proves nothing."""
    return delivery.queue, delivery.message.message_id, digest_of(delivery)
