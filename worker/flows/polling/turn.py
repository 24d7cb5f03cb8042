"""What one turn of a subscriber has done so far, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from worker.changes.position import Position
from worker.flows.polling.emit import Tally
from worker.flows.polling.plan import Plan
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex


@dataclass(slots=True)
class Turn:
    """What this turn has done so far."""

    baton: Baton
    known: RecordIndex
    plan: Plan
    position: Position
    poll: str = field(default_factory=lambda: uuid4().hex[:12])
    tally: Tally = field(default_factory=Tally)
    trouble: str = ""
    stopped: bool = False
    told: dict[str, list[str | None]] = field(default_factory=dict)

    def leads_from(self, key: str, previous: str | None, digest: str) -> str | None:
        """The content from which a change is told: the baton's, also when this turn has told a change of the record before.

        If this turn dies, the next one knows only the baton, and its copy has the same dedupe key. What goes back to a content that this turn told is no copy.
        """
        told = self.told.setdefault(key, [previous])
        flapped = digest in told[1:]
        told.append(digest)
        return previous if flapped else told[0]


@dataclass(frozen=True, slots=True)
class Turned:
    """How a turn ended. `changes` are those of the baton; `seen`: what an unfinished scan has met; `trouble`: why it failed, empty when it did not.

    `astray`: an event found no queue or no exchange, so that something may have been deleted that this route needs.
    """

    changes: dict[str, Any]
    seen: Iterable[str] | None
    ended: bool
    trouble: str
    astray: bool = False
