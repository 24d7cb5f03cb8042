"""The state of one turn of a subscriber, and its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from worker.changes.position import Position
from worker.core.entropy import new_id
from worker.flows.polling.emit import ScanTally
from worker.flows.polling.plan import ScanPlan
from worker.state.baton import Baton
from worker.state.record_index import RecordIndex


@dataclass(slots=True)
class Turn:
    """The state of the current turn. `published`: per record the content before this turn and the contents that it has published since.

    `error`: why the poll fails. `fetched`: number of records whose details this turn has read. `interrupted`: the worker stopped while pages were processed.
    `paused`: the turn ended within a page of parents. `ambiguous`: the key does not identify the records of the list. `held`: why deletions are held back;
    empty: they are not held back; None: unknown after this turn. `gone`: children that two reads of their parent in a row did not meet. `compared`: known
    children of the parents that this turn has read.
    """

    baton: Baton
    known: RecordIndex
    plan: ScanPlan
    position: Position
    poll: str = field(default_factory=lambda: new_id()[:12])
    tally: ScanTally = field(default_factory=ScanTally)
    error: str = ""
    stopped: bool = False
    fetched: int = 0
    interrupted: bool = False
    paused: bool = False
    ambiguous: bool = False
    held: str | None = None
    gone: list[str] = field(default_factory=list)
    compared: int = 0
    published: dict[str, list[str | None]] = field(default_factory=dict)

    def dedupe_base(self, key: str, previous: str | None, digest: str) -> str | None:
        """Return the `previous` hash for the dedupe key of a change: the baton's, even after an earlier change of the record in this turn.

        If this turn crashes, the next one knows only the baton, and its copy then has the same dedupe key. A record that returns to a content
        which this turn has published is a new change, not a copy.
        """
        published = self.published.setdefault(key, [previous])
        flapped = digest in published[1:]
        published.append(digest)
        return previous if flapped else published[0]


@dataclass(frozen=True, slots=True)
class TurnResult:
    """How a turn ended. `changes`: new members of the baton. `seen`: the keys that an unfinished scan has read. `error`: why the poll failed, or empty.

    `ambiguous`: it published nothing, because the key does not identify a record. `incomplete`: why the scan does not prove that it read every record.
    `unroutable`: an event found no queue or no exchange, so the route's topology may have been deleted. `held`: why deletions are held back; empty: they are
    not held back; None: unknown after this turn.
    """

    changes: dict[str, Any]
    seen: Iterable[str] | None
    ended: bool
    error: str
    ambiguous: bool = False
    incomplete: str = ""
    unroutable: bool = False
    held: str | None = None
