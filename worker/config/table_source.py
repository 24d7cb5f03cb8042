"""A code table with the places of its rows, for definitions that are made from rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.config.config_node import Table


@dataclass(frozen=True, slots=True)
class TableSource:
    """`rows`: as expressions see them. `file`, `lines`: the place of each row. `columns`: the header of a CSV file, empty for a table in a route file."""

    rows: Table
    file: str
    lines: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def row(self, key: str) -> dict[str, Any]:
        """Return the values of a row by column, including the key of a CSV file; without empty cells."""
        value = self.rows[key]
        if not self.columns:
            return dict(value) if isinstance(value, Mapping) else {}
        return {self.columns[0]: key} | (dict(value) if isinstance(value, Mapping) else {self.columns[1]: value})

    @property
    def names(self) -> frozenset[str]:
        """Return the columns; for a table in a route file the columns of all rows together."""
        return frozenset(self.columns or {str(name) for value in self.rows.values() if isinstance(value, Mapping) for name in value})
