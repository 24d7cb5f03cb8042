"""What happened to a message, as a value. A handler returns it; `settlement` decides where the message goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from worker.core.ledger import LedgerEntry
from worker.core.message import Message


class DeadClass(StrEnum):
    """Why a message became a dead letter. The `dead-class` header holds the value."""

    DECODE = "decode"
    TRANSFORM = "transform"
    REJECTED = "rejected"
    AUTH = "auth"
    IN_DOUBT = "in_doubt"
    RETRIES_EXHAUSTED = "retries_exhausted"
    CRASHED = "crashed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """The effect is in Halo. `body`: Halo's answer. `entity`, `record`: the entity written, and the id of its record if known."""

    detail: str = ""
    status: int | None = None
    body: Any = field(default=None, repr=False)
    entity: str = ""
    record: str | int | None = None


ARROW = " → "


@dataclass(frozen=True, slots=True)
class Continue:
    """The step is done. `message` goes to `queue` for the next step, after `delay` seconds in a retry queue.

    `detail`: for a run, the two steps with `ARROW` between them.
    """

    message: Message
    queue: str
    detail: str = ""
    status: int | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """The route's filter, or a `find` with that setting, left the message out."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The message cannot work as it is. `state_updates`: attributes of the dead letter's `DeliveryState`. `release`: the ledger's entry with the dead letter."""

    dead_class: DeadClass
    reason: str
    status: int | None = None
    state_updates: Mapping[str, Any] = field(default_factory=dict)
    release: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """This attempt certainly did nothing in Halo. Not `counted` when the cause lies outside this message (Halo down, throttled, stopping).

    `delays`: the delays of its retries, where they differ between the messages of a queue. `after`: seconds before the next attempt, for one not counted.
    `state_updates`: attributes of `DeliveryState` for the copy of the next attempt. `release`: the entry that the ledger gets if this is the last attempt.
    """

    reason: str
    status: int | None = None
    counted: bool = True
    delays: tuple[float, ...] | None = None
    after: float = 0.0
    state_updates: Mapping[str, Any] = field(default_factory=dict)
    release: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """This attempt may have had its effect. `repeatable`: a repeat is harmless, or a lookup can come first.

    `delays`, `state_updates`, `release` as in `NotSent`.
    """

    reason: str
    repeatable: bool
    status: int | None = None
    counted: bool = True
    delays: tuple[float, ...] | None = None
    state_updates: Mapping[str, Any] = field(default_factory=dict)
    release: LedgerEntry | None = None


Outcome = Done | Continue | Skipped | Refused | NotSent | Ambiguous


def with_state_updates(outcome: Outcome, state_updates: Mapping[str, Any]) -> Outcome:
    """The outcome with more attributes for the state of the message's copy, if it makes a copy. The outcome's own attributes have priority."""
    return replace(outcome, state_updates={**state_updates, **outcome.state_updates}) if isinstance(outcome, (NotSent, Ambiguous, Refused)) else outcome


def releasing(outcome: Outcome, release: LedgerEntry) -> Outcome:
    """The outcome with the entry that the ledger gets if the message becomes a dead letter."""
    return replace(outcome, release=release) if isinstance(outcome, (NotSent, Ambiguous, Refused)) else outcome
