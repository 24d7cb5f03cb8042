"""A run of a runbook as a message: which step is next, and everything that the steps before it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid5

from worker.config.automation import Values
from worker.core.entropy import new_id
from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode
from worker.core.message import Delivery, Message, identity_of

VERSION = 1
RESPONSE_LIMIT = 256 * 1024
DEEPEST = MAX_DEPTH + 2  # a variable may be as deep as any document, and stands two levels down
STARTS = UUID("6f1c2f4e-7f0a-4c57-9c0e-1f5b8f6a7d11")  # the namespace of run ids that follow from what started them


@dataclass(frozen=True, slots=True)
class Run:
    """`step` None: nothing is done yet, `request` is the starting payload. `visit` counts the steps that were begun. `status`, `response`: of the last method or action."""

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
        """Without an id, so that each time that it is put somewhere it gets one of its own: of several copies one is to win its claim.

        Raises `Undecodable` when it is too large to travel.
        """
        body = encode({"v": VERSION} | {item.name: getattr(self, item.name) for item in fields(self)})
        if len(body) > MAX_BYTES:
            raise Undecodable(f"the run with its payload and variables has {len(body):,} bytes; at most {MAX_BYTES:,} can travel")
        return Message(body, correlation_id=self.id)

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Raises `Undecodable`."""
        document = decode(body, max_depth=DEEPEST)
        if not isinstance(document, dict) or document.get("v") != VERSION:
            raise Undecodable("the message is not a run of a runbook")
        try:
            values = {item.name: document[item.name] for item in fields(cls)}
        except KeyError as missing:
            raise Undecodable(f"the run lacks its member {missing}") from None
        if not fits(values):
            raise Undecodable("the run has a member of the wrong type")
        return cls(**values | {"plain": tuple(values["plain"])})


def fits(values: Mapping[str, Any]) -> bool:
    """Whether the members of a run are of the types that it has."""
    texts = all(isinstance(values[name], str) and values[name] for name in ("id", "runbook")) and isinstance(values["started"], str)
    numbers = type(values["visit"]) is int and values["visit"] >= 0 and (values["status"] is None or type(values["status"]) is int)
    plain = isinstance(values["plain"], list) and all(isinstance(name, str) for name in values["plain"])
    return texts and numbers and plain and isinstance(values["variables"], dict) and isinstance(values["step"], str | None)


def run_queue(runbook: str) -> str:
    return f"halo.run.{runbook}"


def start_message(runbook: str, run_id: str, request: Any, now: float) -> Message:
    """What starts a run with this payload; put it on `run_queue(runbook)`. The same run id twice is one run."""
    return Run(run_id, runbook, request=request, started=datetime.fromtimestamp(now, UTC).isoformat()).message()


def run_id_of(source: str, identity: str) -> str:
    """The run id that follows from what started it: a copy of the start is the same run."""
    return uuid5(STARTS, f"{source}\n{identity}").hex


def started_by(delivery: Delivery) -> str:
    """The run id of a starting message: from its queue, its id and its content, since senders number their messages as they like. Without an id each is a run."""
    queue, message_id, content = identity_of(delivery)
    return run_id_of(queue, f"{message_id}\n{content.hex()}") if message_id else new_id()
