"""The ledger of started work: for about a day, each key has exactly one owner among all replicas."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """What a key is about. All replicas write these values, so they must not change."""

    ATTEMPT = "attempt"
    """One attempt to send one message's write."""
    RECEIPT = "received"
    """A message waits for its turn: a later delivery can then tell "never sent" from "unknown"."""
    ARRIVAL = "waited"
    """A message waits for memory and has not been started."""
    ONCE = "once"
    """A holder of a `once` key of a route."""
    ONCE_RELEASED = "buried-once"
    """That holder is a dead letter: the next message may take the key."""
    VISIT = "run"
    """One step of one run of a runbook."""
    VISIT_RELEASED = "buried"
    """That step is a dead letter: its replay may take the step."""
    DELIVERY = "delivery"
    """A delivery of a webhook was begun."""
    DELIVERED = "delivered"
    """All effects of that delivery are in the broker."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that can have an owner. The ledger hashes `str(key)`."""

    kind: Kind
    parts: tuple[str | int, ...]

    def __str__(self) -> str:
        return ":".join((self.kind.value, *map(str, self.parts)))


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A key and its owner, to be written to the ledger."""

    key: Key
    owner: str


class Claim(Enum):
    """The answer to a claim."""

    WON = "won"  # the key had no owner
    AGAIN = "again"  # this owner has it already: its message was delivered before, and its progress is unknown
    TAKEN = "taken"  # another owner has it: this message is a copy


class Ledger(Protocol):
    """Implemented by `worker.state.stream_ledger` over a stream that all replicas read."""

    async def claim(self, key: Key, owner: str) -> Claim:
        """Take the key, unless it has an owner. Raises `BrokerError`."""
        ...

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:
        """Whether the key has an owner, or gets one within these seconds.

        All claims made before a returned claim of this replica are known here. Raises `BrokerError`.
        """
        ...

    async def claimed_at(self, key: Key) -> float | None:
        """When its owner took the key, in seconds since 1970 by that replica's clock; None: it has no owner. Raises `BrokerError`."""
        ...


def once_key(route: str, number: int, key: str) -> Key:
    """The key of a holder of a `once` key. `number`: 0 for the first holder, 1 for the next when the first is a dead letter."""
    return Key(Kind.ONCE, (route, number, key))


def once_released(route: str, number: int, key: str) -> Key:
    return Key(Kind.ONCE_RELEASED, (route, number, key))


def visit_key(run: str, visit: int) -> Key:
    return Key(Kind.VISIT, (run, visit))


def visit_released(run: str, visit: int) -> Key:
    return Key(Kind.VISIT_RELEASED, (run, visit))


def arrival_key(queue: str, message_id: str, content: bytes) -> Key:
    return Key(Kind.ARRIVAL, (queue, message_id, content.hex()))


def attempt_key(identity: str, tries: int) -> Key:
    return Key(Kind.ATTEMPT, (identity, tries))


def receipt_key(identity: str, tries: int) -> Key:
    return Key(Kind.RECEIPT, (identity, tries))


def delivery_key(delivery: str) -> Key:
    return Key(Kind.DELIVERY, (delivery,))


def delivered_key(delivery: str) -> Key:
    return Key(Kind.DELIVERED, (delivery,))
