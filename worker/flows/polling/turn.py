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
from worker.state.known import Known


@dataclass(slots=True)
class Turn:
    """What this turn has done so far."""

    baton: Baton
    known: Known
    plan: Plan
    position: Position
    poll: str = field(default_factory=lambda: uuid4().hex[:12])
    tally: Tally = field(default_factory=Tally)
    error: str = ""
    stopped: bool = False
    published: dict[str, list[str | None]] = field(default_factory=dict)

    def dedupe_base(self, key: str, previous: str | None, digest: str) -> str | None:
        """The content from which a change is told: the baton's, also when this turn has told a change of the record before.

        If this turn dies, the next one knows only the baton, and its copy has the same dedupe key. What goes back to a content that this turn told is no copy.
        """
        published = self.published.setdefault(key, [previous])
        flapped = digest in published[1:]
        published.append(digest)
        return previous if flapped else published[0]


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended. `changes` are those of the baton; `seen`: what an unfinished scan has met; `error`: why it failed, empty when it did not.

    `unroutable`: an event found no queue or no exchange, so that something may have been deleted that this route needs.
    """

    changes: dict[str, Any]
    seen: Iterable[str] | None
    ended: bool
    error: str
    unroutable: bool = False
