"""The worker's own headers on a message: what travels with a retry copy, and what a dead letter says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from worker.core.message import Delivery, Message
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury, Retry

ATTEMPTS = "halo-attempts"
DOUBTFUL = "halo-doubtful"
REASON = "halo-retry-reason"
TRIES = "halo-tries"
WAITED = "halo-waited"
REDELIVERED = "halo-redelivered"
HOLDER = "halo-once"
ORIGIN = "halo-origin"
REPLAYS = "replays"
EXCHANGE = "original-exchange"
ROUTING_KEY = "original-routing-key"
OURS = frozenset({ATTEMPTS, DOUBTFUL, TRIES, REPLAYS})
"""At least one of these is on every copy that the worker makes of a message to be tried again."""
BROKERS_OWN = ("x-death", "x-delivery-count", "x-acquired-count", "x-first-death-", "x-last-death-")  # the broker writes these anew on every way


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the worker knows of a delivery besides its body.

    `attempts`: counted attempts before this one. `doubtful`: one of them may have had its effect. `redelivered`: somebody had it before, and may still be at it.
    `replays`: how often an operator took it out of the dead queue and had it tried anew. `tries`: attempts that were claimed, counted or not. `waited`: whatever
    may have been under way when this copy was made has come to its end since. `copied`: it is a copy that the worker made, not the sender's own.
    `remembered`: whether claims about it still hold; None where claims themselves tell. `holder`: which holder of its `once` key it was, where it was one.
    """

    message_id: str
    correlation_id: str
    attempts: int
    doubtful: bool
    redelivered: bool
    exchange: str
    routing_key: str
    replays: int = 0
    tries: int = 0
    waited: bool = False
    copied: bool = False
    remembered: bool | None = None
    holder: int | None = None


def opened(delivery: Delivery) -> Envelope:
    """Read the headers; foreign values in ours count as absent."""
    message, headers = delivery.message, delivery.message.headers
    message_id = message.message_id or uuid4().hex
    return Envelope(
        message_id,
        message.correlation_id or message_id,
        counter(headers, ATTEMPTS),
        headers.get(DOUBTFUL) is True,
        delivery.redelivered or headers.get(REDELIVERED) is True,
        str(headers.get(EXCHANGE, delivery.exchange)),
        str(headers.get(ROUTING_KEY, delivery.routing_key)),
        counter(headers, REPLAYS),
        counter(headers, TRIES),
        headers.get(WAITED) is True,
        not OURS.isdisjoint(headers),
        holder=counter(headers, HOLDER) if HOLDER in headers else None,
    )


def counter(headers: Mapping[str, Any], name: str) -> int:
    """What a header of ours counts; nothing yet, or a foreign value, is 0."""
    value = headers.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """What a redelivered copy shares with the first: queue, id and content."""
    return delivery.queue, delivery.message.message_id, blake2b(delivery.message.body, digest_size=16).digest()


def owner_of(message: Message) -> str:
    """What a message has in common with all copies that the worker or the broker makes of it: its id, or without one its content."""
    return str(message.headers.get(ORIGIN) or message.message_id or content_id(message))


def content_id(message: Message) -> str:
    return f"content:{blake2b(message.body, digest_size=16).hexdigest()}"


def own_headers(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.headers.items() if not name.startswith(BROKERS_OWN)}


def retry_copy(delivery: Delivery, envelope: Envelope, retry: Retry) -> Message:
    """The message as it goes into a retry queue, or back on its own."""
    state = {ATTEMPTS: retry.attempts, DOUBTFUL: retry.doubtful, REASON: retry.reason, EXCHANGE: envelope.exchange, ROUTING_KEY: envelope.routing_key}
    return again(delivery.message, envelope, lasting_headers(delivery.message, envelope, retry.marks) | state | dict(retry.marks))


def at_once(retry: Retry) -> Retry:
    """The same before its time has come: its copy is for the same attempt again, and has not waited."""
    return replace(retry, marks={name: value for name, value in retry.marks.items() if name not in {TRIES, WAITED}}, hold=0.0)


def dead_letter(delivery: Delivery, envelope: Envelope, bury: Bury, route: str, at: datetime) -> Message:
    """The message as it goes into the dead queue: the original body and headers, and why."""
    marks = {name: value for name, value in bury.marks.items() if name != WAITED}
    gone = {ATTEMPTS, REASON} | ({REDELIVERED} if bury.dead_class is DeadClass.IN_DOUBT else set())  # what is in doubt is for people to decide
    headers = {name: value for name, value in lasting_headers(delivery.message, envelope, marks).items() if name not in gone} | marks
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


def lasting_headers(message: Message, envelope: Envelope, marks: Mapping[str, Any]) -> dict[str, Any]:
    """What stays on a copy: that somebody had the message before does as long as it is for the same attempt."""
    headers = {name: value for name, value in own_headers(message).items() if name not in {WAITED, REDELIVERED}}
    return headers | {REDELIVERED: True} if envelope.redelivered and TRIES not in marks else headers


def again(message: Message, envelope: Envelope, headers: Mapping[str, Any]) -> Message:
    """A copy under the same id; its own time to live was for the first way only. What had no id gets one, and keeps what it was known by."""
    if not message.message_id:
        headers = {ORIGIN: content_id(message), **headers}
    return replace(message, headers=headers, message_id=envelope.message_id, correlation_id=envelope.correlation_id, expiration=None)
