"""Decides where a message goes: a total, pure function of its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.core.ledger import LedgerEntry
from worker.core.message import Message
from worker.core.outcome import Ambiguous, Continue, DeadClass, Done, NotSent, Outcome, Refused, Skipped

UNDECIDED = frozenset({DeadClass.AUTH, DeadClass.IN_DOUBT})  # the refusal leaves open whether an earlier attempt had its effect


@dataclass(frozen=True, slots=True)
class Ack:
    """Acknowledge the message: the broker removes it from the queue."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Publish `message` to `queue`, or to the retry queue of `delay` seconds that returns it there. After the confirm, acknowledge the original."""

    message: Message
    queue: str
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Publish a copy to the retry queue of `delay` seconds, or to its own queue when None.

    `attempts`, `doubtful` and the `state_updates` (attributes of `DeliveryState`) travel with it. `hold`: seconds to hold the message before that, where no retry
    queue is long enough. `release`: the entry that the ledger gets if no broker takes the copy.
    """

    delay: float | None
    attempts: int
    doubtful: bool
    reason: str
    state_updates: Mapping[str, Any] = field(default_factory=dict)
    hold: float = 0.0
    release: LedgerEntry | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """Publish a copy with the reason to the dead queue. `doubtful`: one of the attempts may have had its effect, so a replay must check first.

    `state_updates`: further attributes of its `DeliveryState`. `release`: the entry that the ledger gets with it.
    """

    dead_class: DeadClass
    reason: str
    status: int | None
    attempts: int
    doubtful: bool = False
    state_updates: Mapping[str, Any] = field(default_factory=dict)
    release: LedgerEntry | None = None


Settlement = Ack | Forward | Retry | Bury


def settle(outcome: Outcome, *, attempts: int, doubtful: bool, delays: Sequence[float]) -> Settlement:
    """The settlement of a message. `attempts`: counted attempts before this one. `doubtful`: an earlier attempt may have had its effect."""
    match outcome:
        case Done() | Skipped():
            return Ack()
        case Continue(message, queue, delay=delay):
            return Forward(message, queue, delay)
        case Refused(dead_class, reason, status):
            return Bury(
                dead_class,
                reason,
                status,
                attempts + 1,
                doubtful=doubtful and dead_class in UNDECIDED,
                state_updates=outcome.state_updates,
                release=outcome.release,
            )
        case Ambiguous(reason, repeatable=False, status=status):
            return Bury(DeadClass.IN_DOUBT, reason, status, attempts + 1, doubtful=True, state_updates=outcome.state_updates, release=outcome.release)
        case NotSent(reason, counted=False, after=after) if after > 0:
            enough = min((delay for delay in (delays if outcome.delays is None else outcome.delays) if delay >= after), default=None)
            return Retry(enough, attempts, doubtful, reason, outcome.state_updates, after if enough is None else 0.0, outcome.release)
        case NotSent(reason, counted=False):
            return Retry(None, attempts, doubtful, reason, outcome.state_updates, release=outcome.release)
        case Ambiguous(reason, counted=False):
            return Retry(None, attempts, doubtful=True, reason=reason, state_updates=outcome.state_updates, release=outcome.release)
        case NotSent(reason, status) | Ambiguous(reason, _, status):
            plan = delays if outcome.delays is None else outcome.delays
            if attempts >= len(plan):
                return Bury(
                    DeadClass.RETRIES_EXHAUSTED,
                    reason,
                    status,
                    attempts + 1,
                    doubtful or isinstance(outcome, Ambiguous),
                    outcome.state_updates,
                    outcome.release,
                )
            return Retry(plan[attempts], attempts + 1, doubtful or isinstance(outcome, Ambiguous), reason, outcome.state_updates, release=outcome.release)
