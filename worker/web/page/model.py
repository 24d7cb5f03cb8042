"""What the status page shows, as values, and the port through which it gets them and acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
UNKNOWN = float("nan")
"""A sample of a minute of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What many viewers share. `value`: None before the first read. `at`: when it was read, seconds since 1970. `trouble`: why it is not newer."""

    value: T | None
    at: float = 0.0
    trouble: str = ""

    @property
    def pending(self) -> bool:
        """Whether the first read has not ended yet."""
        return self.value is None and not self.trouble


@dataclass(frozen=True, slots=True)
class Overview:
    """`found`: as `worker.app.overview.overview` returns it. `late`: names of the routes whose work waits for too long."""

    found: Mapping[str, Any]
    late: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter without its body. `key`: names it in addresses. `at`: when it died, seconds since 1970. `step`, `run`: of a run of a runbook."""

    key: str
    queue: str
    route: str
    id: str
    dead_class: str
    reason: str
    status: int | None
    attempts: int | None
    replays: int
    at: float | None
    edit_of: str = ""
    step: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Letters:
    """Newest first. `total`: in the queues; more than there are rows where there are too many to list. `notes`: what is missing, and why."""

    rows: Sequence[LetterRow] = ()
    total: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LetterContent:
    """What a letter holds: customer data. `plan`: what a replay would do. `needs_verdict`: whether the operator has to say what became of it."""

    headers: str
    body: str
    editable: str
    """The body as text to edit; empty for one that cannot be edited."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""
    needs_verdict: bool = False


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run of a runbook, as the trace tells. `state`: waiting, dead or done. `ways`: the steps that it went, with " → " between two."""

    id: str
    state: str
    step: str
    at: float
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChartStep:
    """One box of a flow chart. `leads`: the names of the steps to which it leads, each with when."""

    name: str
    label: str
    kind: str
    leads: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    first: str
    starts: tuple[str, ...]
    steps: tuple[ChartStep, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One value a minute, oldest first; `UNKNOWN` where nothing is known. `last`: the minute of the newest one, since 1970."""

    values: Sequence[float]
    last: int


class Desk(Protocol):
    """What the page asks of the worker. A read never waits for long: `Seen` says how old its value is."""

    async def overview(self) -> Seen[Overview]: ...

    async def letters(self, route: str | None) -> Seen[Letters]:
        """Of one route, or of all."""
        ...

    async def letter(self, row: LetterRow) -> LetterContent | None:
        """None where it is gone. Raises `WorkerError`."""
        ...

    async def story(self, subject: str, record: str | None) -> Sequence[Mapping[str, Any]]:
        """The notes of the trace, oldest first. Raises `WorkerError`."""
        ...

    async def runs(self, runbook: str) -> Seen[Sequence[RunSeen]]:
        """Newest first."""
        ...

    def chart(self, runbook: str) -> Chart | None: ...

    def client_of(self, route: str) -> str:
        """The client of a subscriber or publisher; empty where there is none."""
        ...

    def rate(self, route: str) -> Series:
        """Messages or events a minute."""
        ...

    def lag(self, route: str) -> Series:
        """Seconds."""
        ...

    def budget(self, client: str) -> Series:
        """Requests of a window."""
        ...

    async def replay(self, rows: Sequence[LetterRow], verdict: str | None) -> str:
        """Returns what became of them, as a sentence. `verdict`: sent, not-sent or look. Raises `WorkerError`."""
        ...

    async def discard(self, rows: Sequence[LetterRow]) -> str: ...

    async def edit(self, row: LetterRow, text: str) -> str:
        """`text`: the new body, JSON."""
        ...

    async def pause(self, route: str, reason: str, by: str) -> str: ...

    async def resume(self, route: str) -> str: ...
