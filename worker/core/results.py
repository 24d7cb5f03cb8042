"""The result for the sender of a message, as a value, and the addresses that a sender may name for it. Pure."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from worker.core.delivery_state import DeliveryState
from worker.core.message import Delivery, identity_of
from worker.core.outcome import Done, Outcome, Skipped
from worker.core.settlement import Ack, Bury, Settlement
from worker.core.topology import Topology, events_topology

RESULT_TYPE = "com.haloitsm.result"
DIRECT = "amq.rabbitmq.reply-to."
"""The start of the address that RabbitMQ gives a request with direct reply-to. It leads to the sender's own channel and cannot be guessed."""
PROCESS = re.compile(rb"\x83X(?:[vd](?P<size>..)|[ws](?P<short>.))(?P<node>reply@[0-9]{1,10}).{12}", re.DOTALL)
"""A process id in Erlang's external format, with a hash in place of the node's name."""
KEY_BYTES = 16
REPLIES = ("replies.*",)
RESERVED = ("amq.", "halo.")
MAX_ADDRESS = 255  # bytes of a routing key in AMQP


@dataclass(frozen=True, slots=True)
class ResultTarget:
    """The address to which a route publishes the results of its messages. `queue`: a queue to declare and bind."""

    exchange: str
    routing_key: str
    queue: str | None = None

    @property
    def topology(self) -> Topology:
        return events_topology(self.exchange, self.queue, self.routing_key)


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """The queues that a sender's `reply_to` may name besides direct reply-to. `patterns`: names in which `*` matches any text. `closed`: queues of routes."""

    patterns: tuple[str, ...] = REPLIES
    closed: frozenset[str] = frozenset()

    def refusal(self, address: str) -> str:
        """Why the worker sends no reply to this address; empty if it may."""
        if address.startswith(DIRECT):
            return "" if is_direct(address) else "RabbitMQ makes no such address for a direct reply"
        if len(address.encode(errors="replace")) > MAX_ADDRESS or not address.isprintable():
            return "it cannot be the name of a queue"
        if address.startswith(RESERVED):
            return "it begins with `amq.` or `halo.`"
        if address in self.closed:
            return "it is a queue of a route"
        if not any(matches(pattern, address) for pattern in self.patterns):
            return f"it fits none of {', '.join(self.patterns)}" if self.patterns else "the route allows no queue"
        return ""


def is_direct(address: str) -> bool:
    """Whether a direct reply address has RabbitMQ's form: a process of one of its nodes, and 16 bytes that cannot be guessed.

    RabbitMQ decodes the first part as an Erlang term, and closes a connection that publishes to an address with any other term.
    """
    process, point, key = address.removeprefix(DIRECT).partition(".")
    try:
        found = PROCESS.fullmatch(b64decode(process, validate=True))
        whole = bool(point) and len(b64decode(key, validate=True)) == KEY_BYTES
        return whole and found is not None and int.from_bytes(found["size"] or found["short"]) == len(found["node"])
    except ValueError:
        return False


def matches(pattern: str, name: str) -> bool:
    return compiled(pattern).fullmatch(name) is not None


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def result_of(outcome: Outcome, settlement: Settlement, route: str, state: DeliveryState) -> dict[str, Any] | None:
    """The body of the result, without members that do not apply. None while the message has not ended."""
    about: dict[str, Any] = {"route": route, "message_id": state.message_id}
    match settlement:
        case Ack():
            details = {"reason": outcome.detail} if isinstance(outcome, Skipped) else {}
            done = {"id": outcome.record, "status": outcome.status} if isinstance(outcome, Done) else {}
            body = {"outcome": "skipped" if isinstance(outcome, Skipped) else "done"} | about | done | details
        case Bury(dead_class, reason, status):
            body = {"outcome": "dead"} | about | {"status": status, "class": dead_class.value, "reason": reason}
        case _:
            return None
    return {name: value for name, value in body.items() if value is not None}


def result_id(route: str, delivery: Delivery, state: DeliveryState) -> str:
    """The message id of a result: the same for every copy of the message, a different one after an operator's replay."""
    _, message_id, content = identity_of(delivery)
    identity: Sequence[Any] = (route, state.origin or message_id, content.hex(), state.replays, state.replay)
    return blake2b(ascii(identity).encode(), digest_size=16).hexdigest()
