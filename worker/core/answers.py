"""The answers that an example gives in place of Halo and of other APIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """A response: its status, its body as a JSON value (None for an empty one), and its headers with names in lower case."""

    status: int = 200
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Answers:
    """Canned answers by key. Each request takes the next answer of the list; the last answer repeats.

    A key is a request line such as `GET /Asset`, without query and without regard to case, or the full name of an integration's method.
    `records`: rows by entity; they answer reads of the entity's list.
    """

    def __init__(self, answers: Mapping[str, Sequence[CannedAnswer]] | None = None, records: Mapping[str, Sequence[Mapping[str, Any]]] | None = None) -> None:
        self._answers = {key.lower(): list(given) for key, given in (answers or {}).items()}
        self._records = {f"/{entity.strip('/').lower()}": rows for entity, rows in (records or {}).items()}

    def take(self, method: str, path: str, name: str = "") -> CannedAnswer | None:
        """The next answer to a request; None where the example has none."""
        for key in filter(None, (name.lower(), f"{method} {path}".lower())):
            if given := self._answers.get(key):
                return given.pop(0) if len(given) > 1 else given[0]
        rows = self._records.get(path.lower()) if method == "GET" else None
        return None if rows is None else CannedAnswer(body=[dict(row) for row in rows])
