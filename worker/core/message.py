"""What travels: a message as it is published, and a delivery as it arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol, Self

NO_HEADERS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a broker. `expiration` is in seconds; an empty `message_id` is filled with a fresh one at each publish."""

    body: bytes
    headers: Mapping[str, Any] = field(default_factory=lambda: NO_HEADERS)
    message_id: str = ""
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = "application/json"
    type: str | None = None
    timestamp: datetime | None = None
    expiration: float | None = None

    def with_headers(self, **headers: Any) -> Self:
        """A copy whose headers also hold these; underscores in the names become hyphens, None removes a header."""
        merged = dict(self.headers) | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in merged.items() if value is not None})


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
        """True when it was handed out before; False is certain, True may be a copy that nobody has started."""
        ...

    @property
    def offset(self) -> int | None:
        """The position in a stream; None for a queue."""
        ...

    async def ack(self) -> None:
        """Take it off the queue. Raises `ChannelLost` when its channel has gone: the broker then hands it out again."""
        ...
