"""Detects a key that does not identify the records of a list.

The sign is two rows of one answer with one key and different content: one record cannot have two contents at one moment. Rows of two answers give no such sign.
Between two reads a record may have changed and moved to another page, and many lists have no stamp that shows the newer content.
Two rows of one answer with the same content are harmless: a list that Halo joins from several tables repeats rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.changes.records import content_hash, record_key

LIKELY_ENDS = ("id", "guid", "date", "key", "seq")
MAX_CANDIDATES = 12  # members that are tried for a suggestion
SAMPLE = 500  # rows that a suggestion is tried on

Row = dict[str, Any]


def are_ambiguous(rows: Sequence[Row], keys: Sequence[str | None], ignore: frozenset[str]) -> bool:
    """Return whether two of these rows, all of one answer, have one key and different content. `keys`: of each row, None for a row without one."""
    known = [key for key in keys if key is not None]
    if len(set(known)) == len(known):
        return False
    first: dict[str, Row] = {}
    return any(content_hash(row, ignore) != content_hash(first.setdefault(key, row), ignore) for key, row in zip(keys, rows, strict=True) if key is not None)


def ambiguity(rows: Sequence[Row], members: Sequence[str]) -> str:
    """Return the reason for an operator: the key, its effect, and the remedy."""
    found = suggestion(rows, members)
    example = f", such as `key: [{', '.join(found)}]`" if found else ", as `key: [member, …]`"
    return (
        f"{' and '.join(members)} does not identify a record: two rows of one answer have the same {' and '.join(members)} and different content. "
        f"Nothing of this poll is published. Name the members that identify a record on the route{example}"
    )


def suggestion(rows: Sequence[Row], members: Sequence[str]) -> tuple[str, ...]:
    """Return members whose values differ from row to row of this answer: one alone, or one more beside the present key. Empty where there are none."""
    sample = rows[:SAMPLE]
    contents = len({content_hash(row) for row in sample})
    likely = [name for name in (rows[0] if rows else ()) if name.lower().endswith(LIKELY_ENDS) and not name.startswith("_")][:MAX_CANDIDATES]
    alone = [(name,) for name in sorted(likely, key=lambda name: name != "id")]
    together = [(*members, name) for name in likely if name not in members]
    beside = [(one, other) for one in likely for other in likely if one < other and not {one, other} & set(members)]

    def identify(names: Sequence[str]) -> bool:
        keys = {record_key(row, names) for row in sample}
        return None not in keys and len(keys) == contents

    return next((names for names in (*alone, *together, *beside) if identify(names)), ())
