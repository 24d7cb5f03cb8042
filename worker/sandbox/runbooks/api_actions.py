"""Halo API actions of steps: the message, with its variables filled in, is the JSON of a POST to Halo's own API."""

from __future__ import annotations

import json
from typing import Any

from worker.sandbox.dates import naive
from worker.sandbox.journal import ExecutedOperation
from worker.sandbox.profiles import profile_of
from worker.sandbox.rendering import answer_row
from worker.sandbox.runbooks.values import RunValues
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.write_operations import write_records

ENTITIES = {1: "Tickets", 2: "Tickets", 3: "Actions", 4: "Users", 5: "Users"}
"""The actions by `auto_action_type`: create and update a ticket, add a note, create a user."""
APPLICATION = "runbook"


def perform(halo: SimulatedHalo, kind: Any, message: Any, values: RunValues) -> bool:
    """Perform the action. Return whether Halo accepted the write; its answer is then in `values`. Raises `Unresolved`."""
    entity = ENTITIES.get(kind) if isinstance(kind, int) else None
    try:
        record = json.loads(values.fill(str(message or "")))
    except ValueError:
        return False
    if entity is None or not isinstance(record, dict):
        return False
    moment = halo.clock()
    done = write_records(halo.store, halo.settings, entity.lower(), [record], moment)
    if done.refused is not None or not done.rows:
        values.response = done.refused
        return False
    values.response = json.loads(json.dumps(answer_row(done.rows[-1], profile_of(entity.lower()), moment), default=naive))
    halo.journal.operations.append(
        ExecutedOperation(
            halo.journal.next_number(), halo.now(), "POST", f"/{entity}", {}, [record], APPLICATION, None, tuple(done.created), tuple(done.updated)
        )
    )
    return True
