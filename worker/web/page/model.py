"""The values that the status page shows, and the port through which it gets them and acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
UNKNOWN = float("nan")
"""The sample of a minute without a known value."""


@dataclass(frozen=True, slots=True)
class CachedValue(Generic[T]):
    """A value that many viewers share. `value`: None before the first read. `at`: the time of the read, seconds since 1970. `trouble`: why it is not newer."""

    value: T | None
    at: float = 0.0
    trouble: str = ""

    @property
    def pending(self) -> bool:
        """Whether the first read has not ended yet."""
        return self.value is None and not self.trouble


@dataclass(frozen=True, slots=True)
class Overview:
    """`found`: the value of `worker.app.overview.overview`. `late`: names of the routes whose work waits too long."""

    found: Mapping[str, Any]
    late: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter without its body. `key`: its name in addresses. `at`: the time of death, seconds since 1970. `step`, `run`: of a runbook's run."""

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
    """Letters, newest first. `total`: the number in the queues; larger than the number of rows if the list is cut. `notes`: what is missing, and why."""

    rows: Sequence[LetterRow] = ()
    total: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LetterContent:
    """The content of a letter: customer data. `plan`: what a replay would do. `needs_verdict`: whether the operator has to say what happened to its request."""

    headers: str
    body: str
    editable: str
    """The body as text to edit; empty if it cannot be edited."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    plan: str = ""
    needs_verdict: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of a runbook, from the trace. `state`: waiting, dead or done. `ways`: the steps that it took, with " → " between two."""

    id: str
    state: str
    step: str
    at: float
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowChartStep:
    """One box of a flow chart. `leads`: the names of the next steps, each with its condition."""

    name: str
    label: str
    kind: str
    leads: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FlowChart:
    first: str
    starts: tuple[str, ...]
    steps: tuple[FlowChartStep, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One value a minute, oldest first; `UNKNOWN` for a minute without a sample. `last`: the minute of the newest value, since 1970."""

    values: Sequence[float]
    last: int


class PageBackend(Protocol):
    """The page's port to the worker. A read never waits long: `CachedValue` says how old its value is."""

    async def overview(self) -> CachedValue[Overview]: ...

    async def letters(self, route: str | None) -> CachedValue[Letters]:
        """Return the letters of one route, or of all."""
        ...

    async def letter(self, row: LetterRow) -> LetterContent | None:
        """Return the content of a letter; None if it is gone. Raises `WorkerError`."""
        ...

    async def story(self, subject: str, record: str | None) -> Sequence[Mapping[str, Any]]:
        """Return the notes of the trace, oldest first. Raises `WorkerError`."""
        ...

    async def runs(self, runbook: str) -> CachedValue[Sequence[RunView]]:
        """Return the runs, newest first."""
        ...

    def chart(self, runbook: str) -> FlowChart | None: ...

    def client_of(self, route: str) -> str:
        """Return the client of a subscriber or publisher; empty for other routes."""
        ...

    def rate(self, route: str) -> Series:
        """Return messages or events per minute."""
        ...

    def lag(self, route: str) -> Series:
        """Return the lag in seconds."""
        ...

    def budget(self, client: str) -> Series:
        """Return the requests in a window."""
        ...

    async def replay(self, rows: Sequence[LetterRow], verdict: str | None) -> str:
        """Replay letters, and return the result as a sentence. `verdict`: sent, not-sent or look. Raises `WorkerError`."""
        ...

    async def discard(self, rows: Sequence[LetterRow]) -> str: ...

    async def edit(self, row: LetterRow, text: str) -> str:
        """Edit a letter. `text`: the new body, JSON."""
        ...

    async def pause(self, route: str, reason: str, by: str) -> str: ...

    async def resume(self, route: str) -> str: ...
