"""What changed: records compared with the known ones. Pure; one mechanism for every entity, dates only narrow what is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from worker.changes.records import created_at, updated_at

Kind = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    """One event to be: `previous` and `digest` are content hashes, None where there is none. `trace`: what the echo guard is to remember of it."""

    kind: Kind
    key: str
    record: dict[str, Any]
    previous: str | None
    digest: str | None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class ScanContext:
    """What a row must be judged by.

    `baseline`: the first scan of `start: now`: what is unknown was there before. `since`: start of the window of a scan by date. `cursor`: the newest stamp
    of earlier scans; a full scan of a subscriber by date meets old records that it never saw, which are no news. `again`: an operator wants everything that was
    updated since then once more; what has no stamp may have been.
    """

    baseline: bool = False
    since: datetime | None = None
    cursor: datetime | None = None
    again: datetime | None = None


def classify_change(row: Mapping[str, Any], previous: str | None, digest: str, context: ScanContext) -> Literal["created", "updated", "baseline"] | None:
    """What this row is: news, something only to be learnt, or (None) as known."""
    if context.again is not None and not before(updated_at(row), context.again):
        return "updated" if before(created_at(row), context.again, unknown=previous is not None) else "created"
    if previous is not None:
        return None if previous == digest else "updated"
    if context.baseline or context.again is not None:
        return "baseline"
    if context.since is not None:
        born = created_at(row)
        return "created" if born is None or born >= context.since else "updated"
    stamp = updated_at(row)
    if context.cursor is not None and stamp is not None and stamp < context.cursor:
        return "baseline"
    return "created"


def before(stamp: datetime | None, moment: datetime, *, unknown: bool = False) -> bool:
    return unknown if stamp is None else stamp < moment


def dedupe_key(client: str, entity: str, key: str, previous: str | None, digest: str | None) -> str:
    """The identity of an event: equal for every copy of it, whoever publishes it and how often."""
    return f"{client}/{entity}/{key}:{previous or 'new'}:{digest or 'gone'}"
