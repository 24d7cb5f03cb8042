"""The stages of one record or message, and the port that records them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

IDS = 20
"""Records of one write that a note names at most."""
LONGEST = 200
"""Characters of an id at most: senders choose their ids, and a longer one is cut."""
EVENTS = (
    "seen",
    "filtered",
    "published",
    "unrouted",
    "parked",
    "received",
    "transformed",
    "attempted",
    "written",
    "done",
    "skipped",
    "passed",
    "retried",
    "dead",
    "replayed",
    "edited",
    "discarded",
)
"""Stages in the order in which they occur. `parked` and `dead`: the message is a dead letter. `passed`: it continues as another message, `next`."""


class Note(NamedTuple):
    """One stage; a tuple, since each message makes five. No customer data: ids, names from route files, classes and numbers.

    `records`: keys of records in the id space `space` of Halo. `more`: `change`, `attempt`, `status`, `dead_class`, `delay`, `next`, if they apply.
    `at`: the time of the stage, in seconds since 1970; None: now.
    """

    event: str
    route: str
    message_id: str = ""
    correlation_id: str = ""
    space: str = ""
    records: tuple[str, ...] = ()
    more: tuple[tuple[str, Any], ...] = ()
    at: float | None = None


class Tracer(Protocol):
    """Records stages. It never waits and never fails."""

    def note(self, note: Note) -> None: ...


class NoTracer:
    """Implements `Tracer` without keeping anything."""

    def note(self, note: Note) -> None:
        """Ignore it."""


NO_TRACE = NoTracer()
