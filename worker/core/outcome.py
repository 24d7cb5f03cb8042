"""What happened to a message, as a value: a handler says it, `settlement` decides what becomes of the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from worker.core.ledger import Entry
from worker.core.message import Message


class DeadClass(StrEnum):
    """Why a message was buried; the values stand in the `dead-class` header."""

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
    """The effect is in Halo; `body`: what Halo answered. `entity`, `record`: what was written, and its id as far as that is known."""

    detail: str = ""
    status: int | None = None
    body: Any = field(default=None, repr=False)
    entity: str = ""
    record: str | int | None = None


ARROW = " → "


@dataclass(frozen=True, slots=True)
class Passed:
    """It is done, and `message` goes on to `queue` for what is next, after `delay` seconds in a retry queue.

    `detail`: of a run the two steps, with `ARROW` between them.
    """

    message: Message
    queue: str
    detail: str = ""
    status: int | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Skipped:
    """The route's own filter, or a `find` that says so, left it out."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never work as it is. `marks`: attributes of the dead letter's `DeliveryState`. `release`: what the ledger learns with the dead letter."""

    dead_class: DeadClass
    reason: str
    status: int | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)
    release: Entry | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """This attempt certainly did nothing in Halo. Not `counted` when the cause was no fault of this message (Halo down, throttled, stopping).

    `delays`: when to try again, where that differs from message to message of a queue. `after`: seconds that must pass before it is tried again, for what is not counted.
    `marks`: attributes of `DeliveryState` that the copy for the next attempt gets. `release`: what the ledger learns if this is the last attempt.
    """

    reason: str
    status: int | None = None
    counted: bool = True
    delays: tuple[float, ...] | None = None
    after: float = 0.0
    marks: Mapping[str, Any] = field(default_factory=dict)
    release: Entry | None = None


@dataclass(frozen=True, slots=True)
class Doubtful:
    """This attempt may have had its effect. `repeatable`: doing it again is harmless, or can be looked up first. `delays`, `marks` and `release` as in `Unsent`."""

    reason: str
    repeatable: bool
    status: int | None = None
    counted: bool = True
    delays: tuple[float, ...] | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)
    release: Entry | None = None


Outcome = Done | Passed | Skipped | Refused | Unsent | Doubtful


def marked(outcome: Outcome, marks: Mapping[str, Any]) -> Outcome:
    """The outcome with further attributes for the state of the message's copy, where it makes one; what it has already stays."""
    return replace(outcome, marks={**marks, **outcome.marks}) if isinstance(outcome, (Unsent, Doubtful, Refused)) else outcome


def releasing(outcome: Outcome, release: Entry) -> Outcome:
    """The outcome with what the ledger learns if its message becomes a dead letter."""
    return replace(outcome, release=release) if isinstance(outcome, (Unsent, Doubtful, Refused)) else outcome
