"""What the state of a message becomes when it is tried again or buried: pure. The codec writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.core.delivery_state import Death, DeliveryState
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury, Retry


def retried(state: DeliveryState, retry: Retry) -> DeliveryState:
    """For a retry queue, or for the message's own."""
    changes: dict[str, Any] = {"attempts": retry.attempts, "doubtful": retry.doubtful, "reason": retry.reason, "waited": False} | dict(retry.marks)
    return replace(state, redelivered=still_redelivered(state, retry.marks), order=None, death=None, **changes)


def buried(state: DeliveryState, bury: Bury, route: str, at: datetime) -> DeliveryState:
    """For the dead queue. Attempts begin again at a replay; an operator decides what is in doubt."""
    marks = {name: value for name, value in bury.marks.items() if name != "waited"}
    redelivered = still_redelivered(state, marks) and bury.dead_class is not DeadClass.IN_DOUBT
    doubtful = state.doubtful or bury.doubtful
    death = Death(bury.dead_class.value, bury.reason, bury.status, bury.attempts, route, at)
    changes: dict[str, Any] = {"attempts": 0, "reason": "", "waited": False, "doubtful": doubtful, "redelivered": redelivered} | marks
    return replace(state, order=None, death=death, **changes)


def without_delay(retry: Retry) -> Retry:
    """The same before its time has come: its copy is for the same attempt again, and has not waited."""
    return replace(retry, marks={name: value for name, value in retry.marks.items() if name not in {"tries", "waited"}}, hold=0.0)


def still_redelivered(state: DeliveryState, marks: Mapping[str, Any]) -> bool:
    """That another consumer had the message stays on its copies as long as they are for the same attempt."""
    return state.redelivered and "tries" not in marks
