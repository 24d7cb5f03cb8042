"""The sentences for queues and exchanges that exist with other properties than the worker needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from worker.core.errors import QueueMissing, TopologyMismatch

EMPTY = "(empty)"
REMEDY = (
    "The worker changes nothing that exists. Delete what differs once it is empty (move its messages first), give the route another name, "
    "or let a publisher take its queue as it is with `declare: false`."
)


@dataclass(frozen=True, slots=True)
class TopologyDifference:
    """One property of a queue or an exchange; the value None: it is not set.

    Without an `argument`, `existing` is the broker's own text.
    """

    kind: str
    name: str
    argument: str
    existing: str | None
    needed: str | None

    def __str__(self) -> str:
        if not self.argument:
            return f"{self.kind} {self.name!r} exists, and the broker says: {self.existing}"
        has = f"exists with {self.argument} {self.existing or EMPTY}" if self.existing is not None else f"exists without {self.argument}"
        needs = f"the worker needs {self.needed or EMPTY}" if self.needed is not None else "the worker needs it unset"
        return f"{self.kind} {self.name!r} {has}; {needs}"


def mismatch(differences: Iterable[TopologyDifference]) -> TopologyMismatch:
    """One error with all differences, one a line."""
    return TopologyMismatch("\n".join([*sorted(map(str, differences)), REMEDY]))


def absent(queues: Iterable[str]) -> QueueMissing:
    """The error for missing queues that a route takes as they are."""
    return QueueMissing(f"there is no queue {' and no queue '.join(map(repr, queues))}: a route takes it as it is (`declare: false`), so create it first")
