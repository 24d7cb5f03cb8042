"""The journal: every received request, every executed operation, every token request."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from worker.sandbox.table import Key

MAX_ENTRIES = 200_000


@dataclass(slots=True)
class ReceivedRequest:
    """A request as received. `status`: of the answer; None before the answer, 0 if the connection was cut.

    `target`: path and query as sent, not decoded. `body_digest`: SHA-256 of the body of a POST to the API, in hexadecimal.
    """

    number: int
    time: datetime
    method: str
    path: str
    query: Mapping[str, str]
    correlation: str | None = None
    status: int | None = None
    target: str = ""
    body_digest: str = ""


@dataclass(frozen=True, slots=True)
class ExecutedOperation:
    """An executed operation. `path`: as requested, relative to /api. `created`, `updated`, `deleted`: the ids of records."""

    number: int
    time: datetime
    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    client_id: str
    correlation: str | None
    created: tuple[Key, ...] = ()
    updated: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`scope`: the granted scopes; None if the request was refused."""

    number: int
    time: datetime
    grant: str
    client_id: str
    status: int
    scope: str | None = None


@dataclass
class Journal:
    """The newest `MAX_ENTRIES` entries of each kind, in order."""

    requests: deque[ReceivedRequest] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    operations: deque[ExecutedOperation] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    tokens: deque[TokenRequest] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    count: int = 0

    def next_number(self) -> int:
        self.count += 1
        return self.count

    def executed(self, method: str | None = None, path: str | None = None) -> list[ExecutedOperation]:
        """Executed operations with this method and path pattern, such as `/Tickets` or `/Tickets/*`."""
        return [entry for entry in self.operations if _matches(entry, method, path)]

    def received(self, method: str | None = None, path: str | None = None) -> list[ReceivedRequest]:
        """Received requests, including refused ones, with full paths: `/api/Tickets`, `/auth/token`."""
        return [entry for entry in self.requests if _matches(entry, method, path)]

    def created(self, path: str) -> list[Key]:
        """The ids that POSTs to a path created."""
        return [key for entry in self.executed("POST", path) for key in entry.created]

    def clear(self) -> None:
        self.requests.clear()
        self.operations.clear()
        self.tokens.clear()


def path_matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern, case-insensitively, with or without a leading /api."""
    wanted, got = pattern.lower(), path.lower()
    return fnmatchcase(got, wanted) or (got.startswith("/api") and fnmatchcase(got[4:], wanted))


def _matches(entry: ReceivedRequest | ExecutedOperation, method: str | None, path: str | None) -> bool:
    return (method is None or entry.method == method.upper()) and (path is None or path_matches(path, entry.path))
