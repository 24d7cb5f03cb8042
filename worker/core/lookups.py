"""The lookups of expressions: the questions of `$table` and `$id`, which only the worker can answer, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

LookupKind = Literal["table", "id"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question. `name`: the table or entity; `key`: the key of a row (text), or the members of a record with their values."""

    kind: LookupKind
    name: str
    key: Any = field(repr=False)

    @property
    def text(self) -> str:
        """Identifies the question: equal lookups have equal texts."""
        return orjson.dumps([self.kind, self.name, self.key], option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """The answer. `value`: set if `found`. `reason`: why nothing was found, without customer data. `refused`: a default must not replace the value."""

    found: bool
    value: Any = field(default=None, repr=False)
    reason: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Needed:
    """The result of an expression that needs the answers to these lookups for its value."""

    lookups: tuple[Lookup, ...]


def key_text(key: Any) -> str | None:
    """The text of a table's key: 12, 12.0 and "12" are one key. None for a value that cannot be a key."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, float) and key.is_integer():
        return str(int(key))
    return str(key) if isinstance(key, (str, int, float)) else None
