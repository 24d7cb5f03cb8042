"""What happened to a message, as a value: a handler says it, `settlement` decides what becomes of the message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """The effect is in Halo."""

    detail: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """The route's own filter, or a `find` that says so, left it out."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never work as it is."""

    dead_class: DeadClass
    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Unsent:
    """This attempt certainly did nothing in Halo. Not `counted` when the cause was no fault of this message (Halo down, throttled, stopping)."""

    reason: str
    status: int | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Doubtful:
    """This attempt may have had its effect. `repeatable`: doing it again is harmless, or can be looked up first."""

    reason: str
    repeatable: bool
    status: int | None = None
    counted: bool = True


Outcome = Done | Skipped | Refused | Unsent | Doubtful
