"""Compares records with the known ones. Pure, and the same for every entity: dates only reduce the rows that are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from worker.changes.records import created_at, parse_stamp, updated_at

Kind = Literal["created", "updated", "deleted", "backfilled"]


@dataclass(frozen=True, slots=True)
class Change:
    """A change to publish. `previous` and `digest` are content hashes, None where there is none. `trace`: the echo guard's data for the record.

    `parent`, `owner`: under `for_each`, the record of the parent (None where it is not known) and its key.
    """

    kind: Kind
    key: str
    record: dict[str, Any]
    previous: str | None
    digest: str | None
    trace: str = ""
    parent: Mapping[str, Any] | None = field(default=None, repr=False)
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ScanContext:
    """The context of a row's classification: all its inputs except the row's content.

    `baseline`: the first scan of `start: now`; unknown records existed before. `since`: start of the window of a scan by date.
    `cursor`: newest stamp of earlier scans; a full scan of a subscriber by date reads older records that it has never seen and does not publish them.
    `republish_since`: an operator wants every record updated since then; a record without a stamp counts as updated.
    `newer_than`: on the first read of a parent, its unknown children that are older existed before the start.
    `column`: the member with the update stamp, where it is not one of the API's.
    """

    baseline: bool = False
    since: datetime | None = None
    cursor: datetime | None = None
    republish_since: datetime | None = None
    newer_than: datetime | None = None
    column: str | None = None

    def updated_at(self, row: Mapping[str, Any]) -> datetime | None:
        return updated_at(row) if self.column is None else parse_stamp(row.get(self.column))


def classify_change(row: Mapping[str, Any], previous: str | None, digest: str, context: ScanContext) -> Literal["created", "updated", "baseline"] | None:
    """Return the kind of event to publish, `baseline` for a record to store without an event, or None for an unchanged record."""
    if context.republish_since is not None and not is_before(context.updated_at(row), context.republish_since):
        return "updated" if is_before(created_at(row), context.republish_since, unknown=previous is not None) else "created"
    if previous is not None:
        return None if previous == digest else "updated"
    if context.baseline or context.republish_since is not None:
        return "baseline"
    if context.since is not None:
        born = created_at(row)
        return "created" if born is None or born >= context.since else "updated"
    stamp = context.updated_at(row)
    if context.newer_than is not None:
        return "baseline" if is_before(max(filter(None, (stamp, created_at(row))), default=None), context.newer_than) else "created"
    if context.cursor is not None and stamp is not None and stamp < context.cursor:
        return "baseline"
    return "created"


def is_before(stamp: datetime | None, moment: datetime, *, unknown: bool = False) -> bool:
    return unknown if stamp is None else stamp < moment


def dedupe_key(client: str, entity: str, key: str, previous: str | None, digest: str | None) -> str:
    """Return the idempotency key of an event, equal for all its copies."""
    return f"{client}/{entity}/{key}:{previous or 'new'}:{digest or 'gone'}"
