"""The records of one entity: seeded records are computed on access, changed ones are stored; columns and indexes follow every change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from worker.sandbox.sorted_index import SortedIndex

Key = int | str
Row = dict[str, Any]
DETAIL_MEMBERS = frozenset({"customfields", "fields"})  # computed for details only: lists leave them out


class SeededRows:
    """Records 1 to `count` as functions of their number: a record takes no memory until it is changed."""

    def __init__(self, count: int, members: Mapping[str, Callable[[int], Any]]) -> None:
        self.count = count
        self.members = members
        self._thin = {member: of for member, of in members.items() if member not in DETAIL_MEMBERS}

    def row(self, number: int, *, thin: bool = False) -> Row:
        return {member: of(number) for member, of in (self._thin if thin else self.members).items()}

    def value(self, number: int, member: str) -> Any:
        of = self.members.get(member)
        return None if of is None else of(number)


NO_ROWS = SeededRows(0, {})


class Table:
    """Records by key. A position is the record's place in creation order; it equals the id if ids are numbers."""

    def __init__(self, seed: SeededRows = NO_ROWS) -> None:
        self._seed = seed
        self._rows: dict[int, Row] = {}
        self._gone: set[int] = set()
        self._positions: dict[Key, int] = {}
        self.last = seed.count
        self._columns: dict[str, dict[int, Any]] = {}
        self._indexes: dict[str, SortedIndex] = {}
        self.selections: dict[Any, Any] = {}
        """Results of queries, until the next change."""

    def __len__(self) -> int:
        return self._seed.count + sum(1 for position in self._rows if position > self._seed.count) - sum(1 for gone in self._gone if gone <= self._seed.count)

    def positions(self) -> Iterator[int]:
        """The positions of all records, in creation order."""
        yield from (number for number in range(1, self._seed.count + 1) if number not in self._gone)
        yield from sorted(position for position in self._rows if position > self._seed.count)

    def position(self, key: Key) -> int | None:
        """The position of the record with this key, or None."""
        found = self._positions.get(key.lower()) if isinstance(key, str) else key
        return found if found is not None and self._holds(found) else None

    def at(self, position: int, *, thin: bool = False) -> Row:
        """The record at an existing position, without `DETAIL_MEMBERS` if `thin`. Do not change it in place."""
        row = self._rows.get(position)
        return self._seed.row(position, thin=thin) if row is None else row

    def value(self, position: int, member: str) -> Any:
        row = self._rows.get(position)
        return self._seed.value(position, member) if row is None else row.get(member)

    def members(self) -> set[str]:
        """The names of all members that records have."""
        return {*self._seed.members}.union(*self._rows.values())

    def get(self, key: Key) -> Row | None:
        position = self.position(key)
        return None if position is None else self.at(position)

    def next_id(self) -> int:
        return self.last + 1

    def put(self, key: Key, row: Row) -> None:
        """Stores a whole record, new or changed."""
        position = self.position(key)
        if position is None:
            position = self._place(key)
            self._gone.discard(position)
            self._rows[position] = row
            for member, column in self._columns.items():
                column[position] = row.get(member)
            for member, index in self._indexes.items():
                index.add(position, _ordered(position, member, row.get(member)))
        else:
            self._replace(position, row)
        self._changed()

    def remove(self, key: Key) -> Row | None:
        """Removes a record and returns it, or None."""
        position = self.position(key)
        if position is None:
            return None
        row = self.at(position)
        for member, index in self._indexes.items():
            index.remove(position, _ordered(position, member, row.get(member)))
        self._rows.pop(position, None)
        self._gone.add(position)
        self._changed()
        return row

    def column(self, member: str) -> Mapping[int, Any]:
        """One member of every record, by position."""
        if member not in self._columns:
            self._columns[member] = {position: self.value(position, member) for position in self.positions()}
        return self._columns[member]

    def index(self, member: str | None) -> SortedIndex:
        """The index over a member; None: in creation order."""
        name = member or ""
        if name not in self._indexes:
            self._indexes[name] = SortedIndex((position, _ordered(position, name, self.value(position, name))) for position in self.positions())
        return self._indexes[name]

    def _holds(self, position: int) -> bool:
        return position in self._rows or (0 < position <= self._seed.count and position not in self._gone)

    def _place(self, key: Key) -> int:
        if isinstance(key, int):
            self.last = max(self.last, key)
            return key
        known = self._positions.get(key.lower())
        if known is not None:
            return known
        self.last += 1
        self._positions[key.lower()] = self.last
        return self.last

    def _replace(self, position: int, row: Row) -> None:
        before = self.at(position)
        for member, index in self._indexes.items():
            old, new = before.get(member), row.get(member)
            if member and old != new:
                index.remove(position, old)
                index.add(position, new)
        for member, column in self._columns.items():
            column[position] = row.get(member)
        self._rows[position] = row

    def _changed(self) -> None:
        self.selections.clear()


def _ordered(position: int, member: str, value: Any) -> Any:
    return value if member else position
