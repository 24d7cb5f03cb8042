"""The stages of one record or message on its way, and where they are recorded."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

IDS = 20
"""Records of one write that are named."""
LONGEST = 200
"""Characters of an id: senders choose theirs, and a longer one is cut."""
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
"""Stages in the order in which they come. `parked` and `dead`: it is a dead letter. `passed`: it goes on as another message, `next`."""


class Note(NamedTuple):
    """One stage; a tuple, since each message makes five. No customer data: ids, names from route files, classes and numbers.

    `records`: keys of records in the id space `space` of Halo. `more`: `change`, `attempt`, `status`, `dead_class`, `delay`, `next`, as they apply.
    `at`: when it was, in seconds since 1970; None: now.
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
    """Where stages are told. It never waits and never fails."""

    def note(self, note: Note) -> None: ...


class NoTracer:
    """Implements `Tracer`: nothing is kept."""

    def note(self, note: Note) -> None:
        """Forget it."""


NO_TRACE = NoTracer()
