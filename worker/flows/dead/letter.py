"""Dead letters: the dead queues of a route, and what a letter's headers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

from worker.config.jsonable import to_jsonable
from worker.config.routes import Routes
from worker.core import topology
from worker.core.bodies import read_message
from worker.core.delivery_state import DeliveryState
from worker.core.errors import ConfigError, Problem, Undecodable
from worker.core.header_codec import HeaderCodec, state_of
from worker.core.header_fields import moment
from worker.core.message import DroppedBody, Message, digest
from worker.core.outcome import DeadClass
from worker.core.suggest import choices
from worker.flows.running.run_message import run_queue

UNROUTED, UNKNOWN = "unrouted", "unknown"
"""Classes beside `DeadClass`. `unrouted` is also a name that commands accept in place of a route's."""
DELIVERY_LIMIT, REJECTED = "delivery_limit", "rejected"
"""Reasons in RabbitMQ's `x-death`. The worker rejects only messages that are too large to read."""
CRASHED_REASON = f"delivered more than {topology.WORK_LIMIT} times without a result: the message takes the worker down"


@dataclass(frozen=True, slots=True)
class DeadQueue:
    """One dead queue of a route.

    `home`: the queue that its letters came from; None for records, webhook deliveries and events, which came from no queue.
    `orphaned`: no route in the files has this dead queue; `route` is then the queue's own name.
    """

    route: str
    kind: Literal["publisher", "steps", "starts", "subscriber", "webhook", "unrouted", "orphaned"]
    name: str
    home: str | None = None


def dead_queues_of(routes: Routes, name: str) -> tuple[DeadQueue, ...]:
    """The dead queues of the route with this name, or the dead queue with this name. Raises `ConfigError` with the nearest names."""
    if publisher := routes.publishers.get(name):
        return (DeadQueue(name, "publisher", topology.dead_queue(publisher.queue), publisher.queue),)
    if runbook := routes.runbooks.get(name):
        steps = DeadQueue(name, "steps", topology.dead_queue(run_queue(name)), run_queue(name))
        return (steps,) if runbook.queue is None else (steps, DeadQueue(name, "starts", topology.dead_queue(runbook.queue), runbook.queue))
    if name in routes.subscribers:
        return (DeadQueue(name, "subscriber", topology.subscriber_dead_queue(name)),)
    if name in routes.webhooks:
        return (DeadQueue(name, "webhook", topology.subscriber_dead_queue(name)),)
    if name in {UNROUTED, topology.UNROUTED}:
        return (DeadQueue(UNROUTED, "unrouted", topology.UNROUTED),)
    known = [*routes.publishers, *routes.runbooks, *routes.subscribers, *routes.webhooks]
    suffix, prefix = topology.dead_queue(""), topology.subscriber_dead_queue("")
    if name.endswith(suffix) or name.startswith(prefix):
        home = name.removesuffix(suffix)
        orphaned = DeadQueue(name, "orphaned", name, None if home == name else home)
        return (next((each for route in known for each in dead_queues_of(routes, route) if each.name == name), orphaned),)
    raise ConfigError([Problem("ROUTE", 0, 0, f"there is no route {name!r}{choices(name, [*known, UNROUTED])}")])


def all_dead_queues(routes: Routes) -> tuple[DeadQueue, ...]:
    """Return the dead queues of every route, of events that no queue took, and of retries that could not be returned to their queues."""
    names = [*routes.publishers, *routes.runbooks, *routes.subscribers, *routes.webhooks, UNROUTED, topology.dead_queue(topology.RETRIES_DUE)]
    return tuple({each.name: each for name in names for each in dead_queues_of(routes, name)}.values())


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, with all that a list shows.

    `dead_class`: a `DeadClass`, or `unrouted`, or `unknown` for a message that another system put into the dead queue. `at`: when it became a dead letter.
    `fingerprint` distinguishes it from every other letter, also from one with the same id.
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
    """Bytes of its body if that was too large to read, otherwise 0."""

    @property
    def replays(self) -> int:
        return self.state.replays

    @property
    def effect_unknown(self) -> bool:
        """Whether an attempt may have had its effect."""
        return self.state.doubtful or self.dead_class in {DeadClass.IN_DOUBT, DeadClass.CRASHED}

    def age(self, now: float) -> int | None:
        """Whole seconds."""
        return None if self.at is None else max(0, round(now - self.at.timestamp()))


def letter_of(dead_queue: DeadQueue, message: Message, codec: HeaderCodec, dropped: DroppedBody | None = None) -> Letter:
    """Read the headers. A value of the wrong type in one of the worker's headers counts as absent. `dropped`: of a body that was not read."""
    size, content_digest = (len(message.body), digest(message.body)) if dropped is None else (dropped.size, dropped.digest)
    state = delivery_state(dead_queue, message, codec, content_digest)
    broker_death = last_death(dead_queue, message.headers) if state.death is None else {}
    dead_class, reason = class_and_reason(dead_queue, state, broker_death, size)
    at = state.death.at if state.death is not None else moment(broker_death.get("time"))
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
        0 if dropped is None else size,
    )


def delivery_state(dead_queue: DeadQueue, message: Message, codec: HeaderCodec, content_digest: bytes) -> DeliveryState:
    """The state in the worker's headers, if they can be trusted.

    A worker's MAC proves them, or only an account that may write to the dead queue can have set them.
    A message that the broker dead-lettered from the route's queue has its sender's headers, which prove nothing.
    """
    home = dead_queue.home or dead_queue.name
    death = last_death(dead_queue, message.headers)
    trusted = codec.is_proven(message, home, content_digest) or not death
    keys = death.get("routing-keys")
    origin = {"exchange": str(death.get("exchange", "")), "routing_key": str(keys[0]) if isinstance(keys, list) and keys else home}
    return state_of(message, content_digest, origin, trusted=trusted)


def class_and_reason(dead_queue: DeadQueue, state: DeliveryState, death: Mapping[str, Any], size: int) -> tuple[str, str]:
    """From the worker's headers, otherwise from the broker's own `x-death` entry."""
    if state.death is not None:
        return state.death.dead_class, state.death.reason
    if dead_queue.kind == "unrouted":
        return UNROUTED, f"no queue took {state.routing_key!r} from exchange {state.exchange!r}"
    if death.get("reason") == DELIVERY_LIMIT:
        return DeadClass.CRASHED, CRASHED_REASON
    if death.get("reason") == REJECTED and dead_queue.home is not None:
        return DeadClass.DECODE, f"the message has {size:,} bytes, more than the worker read: raise WORKER_MAX_MESSAGE before it is replayed"
    return UNKNOWN, f"put here by the broker: {death['reason']}" if "reason" in death else "put here by another system"


def last_death(dead_queue: DeadQueue, headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The broker's `x-death` entry for the way from the home queue to the dead queue; empty if there is none."""
    deaths = headers.get("x-death")
    entries = [death for death in deaths if isinstance(death, Mapping) and death.get("queue") == dead_queue.home] if isinstance(deaths, list) else []
    return entries[0] if entries else {}  # the newest comes first: entries that a sender wrote come after it


def expression_view(letter: Letter, message: Message, now: float) -> dict[str, Any]:
    """The input of `--where`. `body` is the JSON value, or the text of a body that is not JSON; it is absent if the body was not read."""
    fields = summary(letter, now) | {"headers": to_jsonable(message.headers)}
    return fields if letter.unread else fields | {"body": decoded_body(message)}


def summary(letter: Letter, now: float) -> dict[str, Any]:
    """The letter for programs, without headers and body."""
    return {
        "id": letter.id,
        "class": str(letter.dead_class),
        "reason": letter.reason,
        "status": letter.status,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "age": letter.age(now),
    }


def decoded_body(message: Message) -> Any:
    """The JSON value, otherwise the text."""
    try:
        return read_message(message)
    except Undecodable:
        return message.body.decode("utf-8", "replace")


def fingerprint_of(message: Message, body_digest: bytes, at: datetime | None) -> bytes:
    """Return a hash of the parts that identify a letter: ids, time, replay count and body."""
    hashed = blake2b(digest_size=16)
    for part in (message.message_id, message.correlation_id or "", "" if at is None else at.isoformat(), str(message.headers.get("replays"))):
        hashed.update(f"{len(part)}:{part}".encode("utf-8", "replace"))
    hashed.update(body_digest)
    return hashed.digest()
