"""A desk of the status page without a broker: it shows what it is given, and notes what it is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.web.page.model import UNKNOWN, CachedValue, LetterContent, LetterRow, Letters, Overview, Series

SECRET_BODY = "Jane Doe, 12 Sample Street"


def route_object(name: str, **more: Any) -> dict[str, Any]:
    """As `overview` has it: a publisher that is well."""
    known = {"name": name, "kind": "publisher", "state": "running", "reason": "", "backlog": 0, "oldest_s": None, "retrying": 0, "dead": 0}
    return known | {"last_success": None, "lag_s": None} | more


def found_object(routes: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    replica = {"name": "one", "version": "1", "since": 0.0, "ready": True}
    return {"replicas": [replica], "routes": list(routes), "unrouted": 0, "clients": [], "problems": []} | more


def letter_row(key: str = "aa", **more: Any) -> LetterRow:
    known = {"queue": "q.dead", "route": "erp", "id": f"m-{key}", "dead_class": "rejected", "reason": "Halo answered 400", "status": 400, "attempts": 1}
    return LetterRow(key=key, **(known | {"replays": 0, "at": 1000.0} | more))


@dataclass
class FakePageBackend:
    """`done`: the actions, as (name, …) tuples; `reads`: how often a letter's content was read."""

    found: dict[str, Any] = field(default_factory=lambda: found_object([route_object("erp", dead=1)]))
    rows: list[LetterRow] = field(default_factory=lambda: [letter_row()])
    done: list[tuple[Any, ...]] = field(default_factory=list)
    reads: int = 0
    notes: tuple[dict[str, Any], ...] = ()

    async def overview(self) -> CachedValue[Overview]:
        return CachedValue(Overview(self.found), 1000.0)

    async def letters(self, route: str | None) -> CachedValue[Letters]:
        rows = [row for row in self.rows if route in {None, row.route}]
        return CachedValue(Letters(rows, len(rows)), 1000.0)

    async def letter(self, row: LetterRow) -> LetterContent | None:
        self.reads += 1
        return LetterContent("{}", SECRET_BODY, '{"a": 1}', plan="A replay puts it back.")

    async def story(self, subject: str, record: str | None) -> Sequence[dict[str, Any]]:
        return self.notes

    async def runs(self, runbook: str) -> CachedValue[Any]:
        return CachedValue((), 1000.0)

    def chart(self, runbook: str) -> None:
        return None

    def client_of(self, route: str) -> str:
        return "main"

    def rate(self, route: str) -> Series:
        return Series([UNKNOWN] * 1440, 0)

    lag = budget = rate

    async def replay(self, rows: Sequence[LetterRow], verdict: str | None) -> str:
        self.done.append(("replay", [row.key for row in rows], verdict))
        return "erp: 1 letter replayed"

    async def discard(self, rows: Sequence[LetterRow]) -> str:
        self.done.append(("discard", [row.key for row in rows]))
        return "erp: 1 letter discarded"

    async def edit(self, row: LetterRow, text: str) -> str:
        self.done.append(("edit", row.key, text))
        return "erp: 1 letter edited"

    async def pause(self, route: str, reason: str, by: str) -> str:
        self.done.append(("pause", route, reason, by))
        return f"{route}: paused"

    async def resume(self, route: str) -> str:
        self.done.append(("resume", route))
        return f"{route}: resumed"
