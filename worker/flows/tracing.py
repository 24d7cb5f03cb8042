"""Builds the notes of a message's trace: its arrival, its writes, and its settlement."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from worker.changes.records import record_key
from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState
from worker.core.outcome import ARROW, Continue, Done, Outcome, Skipped
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.core.trace import IDS, LONGEST, Note
from worker.flows.writes.write_request import Write


def received_note(route: str, state: DeliveryState) -> Note:
    more = (("attempt", state.attempts + 1), ("replays", state.replays or None))
    return Note("received", route, state.message_id, state.correlation_id, more=more)


def settlement_note(route: str, outcome: Outcome, settlement: Settlement, state: DeliveryState) -> Note:
    """Return the note of a settlement."""
    event, more = stage_of(outcome, settlement)
    return Note(event, route, state.message_id, state.correlation_id, more=tuple(more.items()))


def stage_of(outcome: Outcome, settlement: Settlement) -> tuple[str, dict[str, Any]]:
    """Return the stage of a settlement and its details. Total over the settlements."""
    match settlement:
        case Ack():
            return "skipped" if isinstance(outcome, Skipped) else "done", {"status": getattr(outcome, "status", None)}
        case Forward(message, queue, delay):
            way = outcome.detail if isinstance(outcome, Continue) and ARROW in outcome.detail else None
            return "passed", {"next": message.correlation_id, "queue": queue, "delay": delay or None, "way": way}
        case Retry(delay, hold=hold):
            return "retried", {"delay": hold or delay}
        case Bury(dead_class, _, status, attempts):
            return "dead", {"dead_class": dead_class.value, "status": status, "attempts": attempts}


def write_note(route: Publisher, write: Write, outcome: Done, state: DeliveryState) -> Note:
    """Return the note of a write that Halo has stored: the records by the ids of its answer, otherwise by the ids that were sent."""
    key = route.operation.key
    records = first_keys(outcome.body, key) or first_keys(write.payload, key) or path_key(write)
    more = (("method", route.operation.method), ("status", outcome.status))
    return Note("written", route.name, state.message_id, state.correlation_id, route.operation.id_space, records, more)


def first_keys(document: Any, key: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many keys, and as much of each, as the trace keeps: thousands of notes wait in memory."""
    return tuple(each[:LONGEST] for each in islice(keys_of(document, key), IDS))


def keys_of(document: Any, key: tuple[str, ...]) -> Iterator[str]:
    """Yield the keys of the records in an answer or a payload, as subscribers write them."""
    for record in document if isinstance(document, list) else [document]:
        if isinstance(record, dict) and (found := record_key(record, key)) is not None:
            yield found


def path_key(write: Write) -> tuple[str, ...]:
    return tuple(str(value) for value in write.path.values() if value is not None)[-1:]
