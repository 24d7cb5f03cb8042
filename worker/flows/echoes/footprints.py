"""Recognise our own writes by the record's update stamp: the stamps that a write found and left, compared with the stamp of a row. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.changes.records import updated_at
from worker.flows.echoes.attribution import unexplained
from worker.state.write_index import WriteFootprint

Row = Mapping[str, Any]
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
MILLISECOND = 1_000


def microseconds(moment: datetime | None) -> int | None:
    """Return the microseconds since 1970."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND


def stamp_of(row: Row) -> int | None:
    """The record's update stamp in microseconds since 1970; None where the row has none."""
    return microseconds(updated_at(row))


def same_stamp(one: int | None, other: int | None) -> bool:
    """Whether two stamps are of the same update.

    An answer to a POST shows 7 decimals. A list and an answer to a GET show what the database keeps: the nearest 1/300 second (shown as .000, .003, .007), or 3 decimals.
    """
    return one is not None and other is not None and (abs(one - other) < MILLISECOND or step_of(one) == step_of(other))


def step_of(stamp: int) -> int:
    return (stamp * 3 + 5_000) // 10_000


def footprint_of(key: str, sent: Row, before: Row | None, answer: Row) -> WriteFootprint:
    """Return the footprint of a POST. `before`: the record as it was read before an update, None for a create; `answer`: the record as Halo answered it."""
    if before is None:
        return WriteFootprint(key, "created", after=stamp_of(answer))
    return WriteFootprint(key, "updated", stamp_of(before), stamp_of(answer), unexplained(sent, before, answer))


@dataclass(frozen=True, slots=True)
class ObservedRow:
    """The knowledge of a poll about a row that it would publish.

    `stamp`: the row's update stamp. `known`: the subscriber has dealt with the record before; `dealt_with`: the stamp that it had then, where it had one.
    `settled`: every change before this moment is dealt with (microseconds since 1970). `ignore`: members that the route ignores.
    """

    stamp: int | None
    known: bool
    dealt_with: int | None = None
    settled: int | None = None
    ignore: frozenset[str] = frozenset()


def is_echo(row: ObservedRow, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether only our own writes lie between the state that was dealt with and this row. False in doubt, and for a row without a stamp.

    Every update moves the stamp. So a write of ours must have left the row's stamp. It must have found the stamp that was dealt with, or the stamp that an
    earlier write of ours left, and so on.
    """
    stamp = row.stamp
    for footprint in reversed(footprints):
        if stamp is None:
            break
        if footprint.kind == "deleted" or not same_stamp(footprint.after, stamp) or footprint.unexplained - row.ignore:
            continue
        if footprint.kind == "created":
            return not row.known
        stamp = footprint.before
        if stamp is not None and (same_stamp(stamp, row.dealt_with) or (not row.known and row.settled is not None and stamp < row.settled)):
            return True
    return False


def is_own_deletion(row: ObservedRow, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether the worker deleted the missing record, and no other writer restored and changed it since. False without stamps."""
    deleted = [footprint.before for footprint in footprints if footprint.kind == "deleted"]
    if not deleted or deleted[-1] is None or row.dealt_with is None:
        return False
    return row.dealt_with <= deleted[-1] or same_stamp(row.dealt_with, deleted[-1])
