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
class Difference:
    """One property of a queue or an exchange; None as a value says that it is not set.

    Without an `argument`, `existing` is what the broker said in words of its own.
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


def mismatch(differences: Iterable[Difference]) -> TopologyMismatch:
    """One error that tells them all, a line each."""
    return TopologyMismatch("\n".join([*sorted(map(str, differences)), REMEDY]))


def absent(queues: Iterable[str]) -> QueueMissing:
    """For queues that a route takes as they are."""
    return QueueMissing(f"there is no queue {' and no queue '.join(map(repr, queues))}: a route takes it as it is (`declare: false`), so create it first")
