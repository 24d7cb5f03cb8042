"""What our writes leave of records: told of a write, and recognised in a row. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from worker.changes.attribution import changed_members, is_ours
from worker.changes.fingerprints import Trace, content_of, digests, is_of_now, moment_of, name_digest, same_moment, stamp_of, total
from worker.state.write_index import WriteFootprint

Row = Mapping[str, Any]
MOST_GUESSED = 8


def footprint_of(key: str, sent: Row, before: Row | None, answer: Row) -> WriteFootprint:
    """What a POST left: `before` is the record as it was looked at before an update, None for a create; `answer`: as Halo answered it."""
    after = content_of(answer)
    moments = {name_digest(name): moment for name, value in after.items() if is_of_now(value) and (moment := moment_of(value)) is not None}
    left = WriteFootprint(key, "created", after=stamp_of(answer), members=digests(after), moments=moments)
    if before is None:
        return left
    was = content_of(before)
    differs = set(changed_members(was, after))
    old = digests({name: was[name] for name in differs & was.keys()})
    changed = {name_digest(name): old.get(name_digest(name), 0) for name in differs}
    unclear = frozenset(name_digest(name) for name in differs if not is_ours(name, was.get(name), after.get(name), sent))
    return replace(left, kind="updated", before=stamp_of(before), changed=changed, unclear=unclear)


@dataclass(frozen=True, slots=True)
class ObservedRow:
    """What a poll knows of a row that it would publish. `trace`: of the row when it was last dealt with, None where it was never met; `settled`: milliseconds since
    1970 before which every change was dealt with, where that is known.
    """

    row: Row
    trace: Trace | None
    settled: int | None = None
    ignore: frozenset[str] = frozenset()


def is_echo(row: ObservedRow, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether nothing but our writes lies between what was dealt with and this row. In doubt it does not.

    The row must be what one of them left, and the record must before it have been what was dealt with, or what another of them left.
    """
    ignored = {name_digest(name) for name in row.ignore}
    known = [footprint for footprint in footprints if footprint.kind != "deleted" and not footprint.unclear - ignored]
    stamp = stamp_of(row.row)
    if stamp is not None:
        return _by_stamp(row, stamp, known, ignored)
    values = digests(content_of(row.row, row.ignore))
    return any(_by_members(row, values, known, ignored, shown) for shown in _guesses(known))


def _guesses(footprints: Sequence[WriteFootprint]) -> Iterator[frozenset[int]]:
    """Of the members that we emptied, those that the list may have shown before: it shows only what is set, and a wrong guess fits nothing."""
    emptied = sorted({name for footprint in footprints for name in footprint.changed if name not in footprint.members})
    sizes = range(len(emptied) + 1) if len(emptied) <= MOST_GUESSED else (0, len(emptied))
    return (frozenset(names) for size in sizes for names in combinations(emptied, size))


def _by_stamp(row: ObservedRow, stamp: int, footprints: Sequence[WriteFootprint], ignored: set[int]) -> bool:
    """Every update moves the stamp, also one of members that a list does not show: so the stamps must meet, from ours back to what was dealt with.

    Somebody else may be as quick as the clock is coarse: so of two of ours one must also have begun with what the other left.
    """
    values = digests(content_of(row.row, row.ignore), nested=False)
    known = row.trace.stamp if row.trace is not None else None
    later: WriteFootprint | None = None
    for footprint in reversed(footprints):
        if not same_moment(footprint.after, stamp) or not (_agrees(row.row, values, footprint) if later is None else _meets(footprint, later, ignored)):
            continue
        if footprint.kind == "created":
            return row.trace is None
        if same_moment(footprint.before, known) or (row.trace is None and _is_settled(footprint.before, row.settled)):
            return True
        if footprint.before is None:
            return False
        stamp, later = footprint.before, footprint
    return False


def _meets(earlier: WriteFootprint, later: WriteFootprint, ignored: set[int]) -> bool:
    """Whether the later write found what the earlier one left. Moments of a request are of no other."""
    begun = _reverted(later.members, later, ignored, frozenset(later.changed))
    names = (begun.keys() | earlier.members.keys()) - earlier.moments.keys() - later.moments.keys() - ignored
    return all(begun.get(name) == earlier.members.get(name) for name in names)


def _agrees(row: Row, values: Mapping[int, int], footprint: WriteFootprint) -> bool:
    """Whether what the row and the answer both have is the same, and nothing is set again that we emptied."""
    moments = {name_digest(name): moment_of(value) for name, value in row.items()} if footprint.moments else {}

    def agrees(name: int, value: int) -> bool:
        if name in footprint.moments:
            return same_moment(footprint.moments[name], moments.get(name))
        return footprint.members.get(name, None if name in footprint.changed else value) == value

    return all(agrees(name, value) for name, value in values.items())


def _is_settled(moment: int | None, settled: int | None) -> bool:
    return moment is not None and settled is not None and moment < settled


def _by_members(row: ObservedRow, values: dict[int, int], footprints: Sequence[WriteFootprint], ignored: set[int], refilled: frozenset[int]) -> bool:
    """Without a stamp the row must become what was dealt with when our changes are taken out of it. `refilled`: what we emptied and the list showed before."""
    first = True
    for footprint in reversed(footprints):
        shown = {name: value for name, value in values.items() if name in footprint.changed or footprint.kind == "created"}
        if not (_agrees(row.row, shown, footprint) if first else _held(shown, footprint)):
            continue
        if footprint.kind == "created":
            return row.trace is None and shown.keys() <= footprint.members.keys()
        first, values = False, _reverted(values, footprint, ignored, refilled)
        if row.trace is not None and row.trace.members == total(values):
            return True
    return False


def _held(values: Mapping[int, int], footprint: WriteFootprint) -> bool:
    return all(name in footprint.moments or footprint.members.get(name) == value for name, value in values.items())


def _reverted(values: Mapping[int, int], footprint: WriteFootprint, ignored: set[int], refilled: frozenset[int]) -> dict[int, int]:
    kept = dict(values)
    for name, old in footprint.changed.items():
        if name in ignored or (name not in kept and (name in footprint.members or name not in refilled)):
            continue
        if old:
            kept[name] = old
        else:
            kept.pop(name, None)
    return kept


def is_own_deletion(trace: Trace | None, footprints: Sequence[WriteFootprint]) -> bool:
    """Whether the record that is gone was deleted by us, and not brought back and changed since."""
    deleted = [footprint for footprint in footprints if footprint.kind == "deleted"]
    if not deleted or trace is None:
        return False
    if trace.stamp is None:
        return trace.members is not None
    return deleted[-1].before is not None and (trace.stamp <= deleted[-1].before or same_moment(trace.stamp, deleted[-1].before))
