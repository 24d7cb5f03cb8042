"""The entries of an embedded queue, and its consumers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from worker.core.message import Message


@dataclass(slots=True, eq=False)
class QueueEntry:
    """One message. `number`: its order in a queue, its offset in a stream. `deadline`: on the loop's clock. `returned`: how often it came back unacked."""

    message: Message
    exchange: str
    routing_key: str
    number: int = 0
    deadline: float | None = None
    returned: int = 0


@dataclass(slots=True, eq=False)
class MemoryConsumer:
    """A consumer. `deliver` gives an entry to its channel; `on_cancelled` informs the channel that the broker cancelled it. `limit` 0: no limit."""

    limit: int
    deliver: Callable[[QueueEntry], None]
    on_cancelled: Callable[[str], None]
    unacked: int = 0
    position: int = 0

    @property
    def has_room(self) -> bool:
        return not self.limit or self.unacked < self.limit


def dead_letter(entry: QueueEntry, queue: str, reason: str) -> Message:
    """The message of a dead-lettered entry: without its time to live, and with its deaths counted in the headers as RabbitMQ does."""
    headers = dict(entry.message.headers)
    deaths: list[dict[str, Any]] = [dict(death) for death in headers.get("x-death", [])]
    same = next((death for death in deaths if death["queue"] == queue and death["reason"] == reason), None)
    if same is not None:
        deaths.remove(same)
        same["count"] += 1
    else:
        same = {"count": 1, "reason": reason, "queue": queue, "exchange": entry.exchange, "routing-keys": [entry.routing_key], "time": datetime.now(UTC)}
    for name, value in (("queue", queue), ("reason", reason), ("exchange", entry.exchange)):
        headers.setdefault(f"x-first-death-{name}", value)
    headers["x-death"] = [same, *deaths]
    headers.pop("x-delivery-count", None)
    return replace(entry.message, headers=headers, expiration=None)
