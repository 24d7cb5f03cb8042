"""Computes the state of a message for its retry or its dead letter. Pure; the codec writes the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.core.delivery_state import Death, DeliveryState
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury, Retry


def retried(state: DeliveryState, retry: Retry) -> DeliveryState:
    """Return the state of a copy for a retry queue, or for the message's own queue."""
    changes: dict[str, Any] = {"attempts": retry.attempts, "doubtful": retry.doubtful, "reason": retry.reason, "waited": False} | dict(retry.state_updates)
    return replace(state, redelivered=still_redelivered(state, retry.state_updates), order=None, death=None, **changes)


def buried(state: DeliveryState, bury: Bury, route: str, at: datetime) -> DeliveryState:
    """Return the state of a copy for the dead queue. A replay counts attempts from zero; an operator decides about a message in doubt."""
    state_updates = {name: value for name, value in bury.state_updates.items() if name != "waited"}
    redelivered = still_redelivered(state, state_updates) and bury.dead_class is not DeadClass.IN_DOUBT
    doubtful = state.doubtful or bury.doubtful
    death = Death(bury.dead_class.value, bury.reason, bury.status, bury.attempts, route, at)
    changes: dict[str, Any] = {"attempts": 0, "reason": "", "waited": False, "doubtful": doubtful, "redelivered": redelivered} | state_updates
    return replace(state, order=None, death=death, **changes)


def without_delay(retry: Retry) -> Retry:
    """Return the retry as it is before its time has come: the copy is for the same attempt again, and has not waited."""
    return replace(retry, state_updates={name: value for name, value in retry.state_updates.items() if name not in {"tries", "waited"}}, hold=0.0)


def still_redelivered(state: DeliveryState, state_updates: Mapping[str, Any]) -> bool:
    """Whether a copy still says that another consumer had the message: it does as long as it is for the same attempt."""
    return state.redelivered and "tries" not in state_updates
