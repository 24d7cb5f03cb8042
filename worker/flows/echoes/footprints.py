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


def stored_moment(moment: datetime | None) -> int | None:
    """Milliseconds since 1970, as Halo's database keeps a moment: in steps of 1/300 second, shown as .000, .003 and .007.

    An answer to a POST shows the moment with 7 decimals, before the database rounds it; a list shows it afterwards. Rounded, both are the same number.
    """
    if moment is None:
        return None
    steps = ((moment - EPOCH) // MICROSECOND * 3 + 5_000) // 10_000
    return (steps * 20 + 3) // 6


def stamp_of(row: Row) -> int | None:
    """The record's update stamp; None where the row has none."""
    return stored_moment(updated_at(row))


def footprint_of(key: str, sent: Row, before: Row | None, answer: Row) -> WriteFootprint:
    """What a POST left. `before`: the record as it was read before an update, None for a create; `answer`: the record as Halo answered it."""
    if before is None:
        return WriteFootprint(key, "created", after=stamp_of(answer))
    return WriteFootprint(key, "updated", stamp_of(before), stamp_of(answer), unexplained(sent, before, answer))


@dataclass(frozen=True, slots=True)
class ObservedRow:
    """What a poll knows of a row that it would publish.

    `stamp`: the row's update stamp. `known`: the subscriber has dealt with the record before; `dealt_with`: the stamp that it had then, where it had one.
    `settled`: every change before this moment is dealt with (milliseconds since 1970). `ignore`: members that the route ignores.
    """

    stamp: int | None
    known: bool
    dealt_with: int | None = None
    settled: int | None = None
    ignore: frozenset[str] = frozenset()


def is_echo(row: ObservedRow, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether only our own writes lie between the state that was dealt with and this row. False in doubt, and for a row without a stamp.

    Every update moves the stamp. So a write of ours must have left the row's stamp, and must have found either the stamp that was dealt with or the one that
    an earlier write of ours left, and so on.
    """
    stamp = row.stamp
    for footprint in reversed(footprints):
        if stamp is None:
            break
        if footprint.kind == "deleted" or footprint.after != stamp or footprint.unexplained - row.ignore:
            continue
        if footprint.kind == "created":
            return not row.known
        stamp = footprint.before
        if stamp is not None and (stamp == row.dealt_with or (not row.known and row.settled is not None and stamp < row.settled)):
            return True
    return False


def is_own_deletion(row: ObservedRow, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether we deleted the record that is gone, and it was not restored and changed since. False without stamps."""
    deleted = [footprint.before for footprint in footprints if footprint.kind == "deleted"]
    return bool(deleted) and row.dealt_with is not None and deleted[-1] is not None and row.dealt_with <= deleted[-1]
