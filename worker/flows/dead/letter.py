"""What a dead letter says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from worker.config.jsonable import to_jsonable
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec, state_of
from worker.core.header_fields import moment
from worker.core.jsontext import decode
from worker.core.message import Message, Unread, digest
from worker.core.outcome import DeadClass
from worker.core.topology import WORK_LIMIT
from worker.flows.dead.dead_queues import DeadQueue

UNROUTED_CLASS, UNKNOWN_CLASS = "unrouted", "unknown"
DELIVERY_LIMIT = "delivery_limit"  # the broker's word for it
REJECTED = "rejected"  # the broker's word for what a consumer had it dead-letter: the worker does so only with what is too large to be read
CRASHED_REASON = f"delivered more than {WORK_LIMIT} times without coming to an end: it takes the worker down"


@dataclass(frozen=True, slots=True)
class Letter:
    """All that a list needs. `dead_class`: a `DeadClass`, or `unrouted`, or `unknown` for what somebody else put there.

    `doubtful`: one of the attempts may have had its effect. `at`: when it was buried. `mark` tells it from every other letter, also one with the same id.
    """

    id: str
    dead_class: str
    reason: str
    status: int | None
    attempts: int | None
    at: datetime | None
    fingerprint: bytes
    state: DeliveryState
    unread: int = 0
    """Bytes of its body, where that was not read."""

    @property
    def replays(self) -> int:
        return self.state.replays

    @property
    def effect_unknown(self) -> bool:
        """Whether it may have had its effect already."""
        return self.state.doubtful or self.dead_class in {DeadClass.IN_DOUBT, DeadClass.CRASHED}

    def age(self, now: float) -> int | None:
        """Whole seconds."""
        return None if self.at is None else max(0, round(now - self.at.timestamp()))


def letter_of(dead_queue: DeadQueue, message: Message, codec: HeaderCodec, unread: Unread | None = None) -> Letter:
    """Read the headers; foreign values in ours count as absent. `unread`: of a body that is not there."""
    size, content_digest = (len(message.body), digest(message.body)) if unread is None else (unread.size, unread.digest)
    state = delivery_state(dead_queue, message, codec, content_digest)
    broken = last_death(dead_queue, message.headers) if state.death is None else {}
    dead_class, reason = class_and_reason(dead_queue, state, broken, size)
    at = state.death.at if state.death is not None else moment(broken.get("time"))
    fingerprint = fingerprint_of(message, content_digest, at)
    return Letter(
        message.message_id or f"nameless-{fingerprint.hex()[:12]}",
        dead_class,
        reason,
        None if state.death is None else state.death.status,
        None if state.death is None else state.death.attempts,
        at,
        fingerprint,
        state,
        0 if unread is None else size,
    )


def delivery_state(dead_queue: DeadQueue, message: Message, codec: HeaderCodec, content_digest: bytes) -> DeliveryState:
    """The state that the headers of ours tell, where a worker proved them or where only somebody who may write to the dead queue itself can have put them.

    What the broker moved here from the route's queue has its sender's headers: a sender's word about it counts for nothing.
    """
    home = dead_queue.home or dead_queue.name
    death = last_death(dead_queue, message.headers)
    believed = codec.is_proven(message, home, content_digest) or not death
    keys = death.get("routing-keys")
    came = {"exchange": str(death.get("exchange", "")), "routing_key": str(keys[0]) if isinstance(keys, list) and keys else home}
    return state_of(message, content_digest, came, believed=believed)


def class_and_reason(dead_queue: DeadQueue, state: DeliveryState, death: Mapping[str, Any], size: int) -> tuple[str, str]:
    """The class and the reason. What the broker buried has neither; its own header tells."""
    if state.death is not None:
        return state.death.dead_class, state.death.reason
    if dead_queue.kind == "unrouted":
        return UNROUTED_CLASS, f"no queue took {state.routing_key!r} from exchange {state.exchange!r}"
    if death.get("reason") == DELIVERY_LIMIT:
        return DeadClass.CRASHED, CRASHED_REASON
    if death.get("reason") == REJECTED and dead_queue.home is not None:
        return DeadClass.DECODE, f"the message has {size:,} bytes, more than the worker read: raise WORKER_MAX_MESSAGE before it is replayed"
    return UNKNOWN_CLASS, f"put here by the broker: {death['reason']}" if "reason" in death else "put here by somebody else"


def last_death(dead_queue: DeadQueue, headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The broker's entry about how it came from its home to here; empty where there is none."""
    deaths = headers.get("x-death")
    entries = [death for death in deaths if isinstance(death, Mapping) and death.get("queue") == dead_queue.home] if isinstance(deaths, list) else []
    return entries[0] if entries else {}  # the newest stands first: what a sender wrote there itself comes after it


def expression_view(letter: Letter, message: Message, now: float) -> dict[str, Any]:
    """What `--where` sees: the body is its JSON value, or its text where it is none. One that was not read is not there."""
    seen = summary(letter, now) | {"headers": to_jsonable(message.headers)}
    return seen if letter.unread else seen | {"body": decoded_body(message.body)}


def summary(letter: Letter, now: float) -> dict[str, Any]:
    """The letter as a program reads it, without headers and body."""
    return {
        "id": letter.id,
        "class": str(letter.dead_class),
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "age": letter.age(now),
    }


def decoded_body(body: bytes) -> Any:
    try:
        return decode(body)
    except Undecodable:
        return body.decode("utf-8", "replace")


def fingerprint_of(message: Message, body: bytes, at: datetime | None) -> bytes:
    """`body`: the digest of it."""
    made = blake2b(digest_size=16)
    for part in (message.message_id, message.correlation_id or "", "" if at is None else at.isoformat(), str(message.headers.get("replays"))):
        made.update(f"{len(part)}:{part}".encode("utf-8", "replace"))
    made.update(body)
    return made.digest()
