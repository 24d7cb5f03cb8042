"""A run of a runbook as a message: which step is next, and everything that the steps before it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

from worker.config.automation import Values
from worker.core.errors import Undecodable
from worker.core.jsontext import decode, encode
from worker.core.message import Delivery, Message

VERSION = 1
RESPONSE_LIMIT = 256 * 1024
STARTS = UUID("6f1c2f4e-7f0a-4c57-9c0e-1f5b8f6a7d11")  # the namespace of run ids that follow from what started them


@dataclass(frozen=True, slots=True)
class Run:
    """`step` None: nothing is done yet, `request` is the starting payload. `visit` counts the steps that were taken. `status`, `response`: of the last method or action."""

    id: str
    runbook: str
    step: str | None = None
    visit: int = 0
    variables: Mapping[str, Any] = field(default_factory=dict)
    plain: tuple[str, ...] = ()
    status: int | None = None
    response: Any = None
    request: Any = None
    started: str = ""

    def values(self) -> Values:
        return Values(self.variables, frozenset(self.plain), self.status, self.response, self.request)

    def next(self, step: str, values: Values) -> Self:
        """The run at its next step; an answer that is too large to travel stays behind."""
        response = values.response if len(encode(values.response)) <= RESPONSE_LIMIT else None
        return replace(
            self,
            step=step,
            visit=self.visit + 1,
            variables=dict(values.variables),
            plain=tuple(sorted(values.plain)),
            status=values.status,
            response=response,
        )

    def message(self) -> Message:
        """Under a fresh id: of two copies that a crash leaves, the claim of the first one counts."""
        document = {"v": VERSION} | {item.name: getattr(self, item.name) for item in fields(self)}
        return Message(encode(document), message_id=uuid4().hex, correlation_id=self.id)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises `Undecodable`."""
        document = decode(body)
        if not isinstance(document, dict) or document.get("v") != VERSION:
            raise Undecodable("the message is not a run of a runbook")
        try:
            values = {item.name: document[item.name] for item in fields(cls)}
        except KeyError as missing:
            raise Undecodable(f"the run lacks its member {missing}") from None
        run = cls(**values | {"plain": tuple(values["plain"] or ())})
        if not isinstance(run.id, str) or not isinstance(run.visit, int) or not isinstance(run.variables, dict):
            raise Undecodable("the run has a member of the wrong type")
        return run


def run_queue(runbook: str) -> str:
    return f"halo.run.{runbook}"


def start_message(runbook: str, run_id: str, request: Any) -> Message:
    """What starts a run with this payload; put it on `run_queue(runbook)`. The same run id twice is one run."""
    return Run(run_id, runbook, request=request, started=datetime.now(UTC).isoformat()).message()


def run_id_of(source: str, identity: str) -> str:
    """The run id that follows from what started it: a copy of the start is the same run."""
    return uuid5(STARTS, f"{source}\n{identity}").hex


def started_by(delivery: Delivery) -> str:
    """The run id of a starting message: its own id where it has one."""
    return run_id_of(delivery.queue, delivery.message.message_id) if delivery.message.message_id else uuid4().hex
