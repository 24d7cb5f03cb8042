"""The worker's own headers on a message: what travels with a retry copy, and what a dead letter says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from worker.core.message import Delivery, Message
from worker.core.settlement import Bury

ATTEMPTS = "halo-attempts"
DOUBTFUL = "halo-doubtful"
REASON = "halo-retry-reason"
REPLAYS = "replays"
EXCHANGE = "original-exchange"
ROUTING_KEY = "original-routing-key"
BROKERS_OWN = ("x-death", "x-delivery-count", "x-acquired-count", "x-first-death-", "x-last-death-")  # the broker writes these anew on every way


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the worker knows of a delivery besides its body.

    `attempts`: counted attempts before this one. `doubtful`: one of them, or one that never came to its end, may have had its effect. `redelivered`: whoever
    had it before may still be at it. `replays`: how often an operator took it out of the dead queue and had it tried anew.
    """

    message_id: str
    correlation_id: str
    attempts: int
    doubtful: bool
    redelivered: bool
    exchange: str
    routing_key: str
    replays: int = 0


def opened(delivery: Delivery) -> Envelope:
    """Read the headers; foreign values in ours count as absent."""
    message, headers = delivery.message, delivery.message.headers
    message_id = message.message_id or uuid4().hex
    return Envelope(
        message_id,
        message.correlation_id or message_id,
        counter(headers, ATTEMPTS),
        delivery.redelivered or headers.get(DOUBTFUL) is True,
        delivery.redelivered,
        str(headers.get(EXCHANGE, delivery.exchange)),
        str(headers.get(ROUTING_KEY, delivery.routing_key)),
        counter(headers, REPLAYS),
    )


def counter(headers: Mapping[str, Any], name: str) -> int:
    """What a header of ours counts; nothing yet, or a foreign value, is 0."""
    value = headers.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def may_wait(envelope: Envelope, delays: Sequence[float]) -> bool:
    """Whether a look that finds nothing should be repeated later: another replica may still be sending what we look for, and there is a retry left for it."""
    return envelope.redelivered and envelope.attempts < len(delays)


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """What a redelivered copy shares with the first: queue, id and content."""
    return delivery.queue, delivery.message.message_id, blake2b(delivery.message.body, digest_size=16).digest()


def own_headers(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.headers.items() if not name.startswith(BROKERS_OWN)}


def retry_copy(delivery: Delivery, envelope: Envelope, attempts: int, *, doubtful: bool, reason: str) -> Message:
    """The message as it goes into a retry queue, or back on its own."""
    state = {ATTEMPTS: attempts, DOUBTFUL: doubtful, REASON: reason, EXCHANGE: envelope.exchange, ROUTING_KEY: envelope.routing_key}
    return again(delivery.message, envelope, own_headers(delivery.message) | state)


def dead_letter(delivery: Delivery, envelope: Envelope, bury: Bury, route: str, at: datetime) -> Message:
    """The message as it goes into the dead queue: the original body and headers, and why."""
    headers = {name: value for name, value in own_headers(delivery.message).items() if name not in {ATTEMPTS, REASON}}
    why = {
        EXCHANGE: envelope.exchange,
        ROUTING_KEY: envelope.routing_key,
        "dead-class": bury.dead_class.value,
        "dead-reason": bury.reason,
        "dead-status": bury.status,
        "dead-attempts": bury.attempts,
        "dead-route": route,
        "dead-at": at.isoformat(),
    }
    if bury.doubtful:
        why[DOUBTFUL] = True
    return again(delivery.message, envelope, headers | {name: value for name, value in why.items() if value is not None})


def again(message: Message, envelope: Envelope, headers: Mapping[str, Any]) -> Message:
    """A copy under the same id; its own time to live was for the first way only."""
    return replace(message, headers=headers, message_id=envelope.message_id, correlation_id=envelope.correlation_id, expiration=None)
