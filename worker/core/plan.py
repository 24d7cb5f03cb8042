"""The effects that an input would have, as values: the requests and the event to send, or why the worker would send nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from worker.core.errors import WorkerError

PlanOutcome = Literal["request", "event", "skipped", "dead"]


class PlanFailed(WorkerError):
    """The plan cannot be made: Halo did not answer a question, or no expression can be evaluated."""


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """A request as it goes over the wire.

    `path` is percent-encoded, below the address of the API or integration. `target` is the request target: the path on the host with the query.
    `body` has the bytes; `content` the same as a JSON value, or as text. `asked`: a read that the plan really sent. `name`: the method of an integration.
    `url`: the whole address of an integration's method, without credentials. `customer`: the customer for whom the worker calls the method.
    """

    method: str
    path: str
    query: Mapping[str, Any]
    target: str
    body: bytes | None = field(default=None, repr=False)
    content: Any = field(default=None, repr=False)
    asked: bool = False
    name: str = ""
    url: str = ""
    customer: str = ""

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def line(self) -> str:
        """The request line, with the address of another API."""
        query = self.target.partition("?")[2]
        whom = f" (customer {self.customer})" if self.customer else ""
        return f"{self.method} {self.url or self.path + (f'?{query}' if query else '')}{whom}"

    def as_object(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"method": self.method, "path": self.path}
        if self.url:
            shown["url"] = self.url
        if self.customer:
            shown["customer"] = self.customer
        if self.query:
            shown["query"] = dict(self.query)
        if self.body is not None:
            shown["body"] = self.content
        return shown


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """A message for RabbitMQ. `body`: the value of its JSON. `exchange`: empty for the default exchange, where `routing_key` names a queue."""

    routing_key: str
    body: Any = field(repr=False)
    headers: Mapping[str, Any] = field(default_factory=dict)
    exchange: str = ""

    def as_object(self) -> dict[str, Any]:
        return {"exchange": self.exchange, "routing_key": self.routing_key, "headers": dict(self.headers), "body": self.body}


@dataclass(frozen=True, slots=True)
class MemberDifference:
    """A member of a record in Halo that a write changes. `absent`: the record does not have it now."""

    record: str
    member: str
    now: Any = None
    then: Any = None
    absent: bool = False

    def as_object(self) -> dict[str, Any]:
        return {"record": self.record, "member": self.member} | ({} if self.absent else {"now": self.now}) | {"then": self.then}


@dataclass(frozen=True, slots=True)
class Plan:
    """The effects of one input. `events`: the events that the steps of a run publish. `reason`: why the input is skipped or dead-lettered.

    `runbook`: the runbook that a delivery starts. `wake`: the subscriber, and the id that it reads. `unanswered`: reads without an answer, because the plan
    was made offline. `diff`: None where the plan did not ask Halo; `asked`: the further reads for it.
    """

    outcome: PlanOutcome
    requests: Sequence[PlannedRequest] = ()
    event: PlannedEvent | None = None
    events: Sequence[PlannedEvent] = ()
    dead_class: str = ""
    reason: str = ""
    runbook: str = ""
    wake: Mapping[str, Any] | None = None
    unanswered: Sequence[str] = ()
    diff: Sequence[MemberDifference] | None = None
    asked: Sequence[PlannedRequest] = ()

    def as_object(self, number: int) -> dict[str, Any]:
        """The plan as `plan --json` prints it, without the members that do not apply."""
        shown: dict[str, Any] = {"input": number, "outcome": self.outcome}
        if self.requests:
            shown["requests"] = [request.as_object() for request in self.requests]
        if self.event is not None:
            shown["event"] = self.event.as_object()
        if self.events:
            shown["events"] = [event.as_object() for event in self.events]
        texts = {"class": self.dead_class, "reason": self.reason, "runbook": self.runbook}
        shown |= {name: text for name, text in texts.items() if text}
        if self.wake is not None:
            shown["wake"] = dict(self.wake)
        if self.unanswered:
            shown["unanswered"] = list(self.unanswered)
        if self.diff is not None:
            shown["diff"] = [difference.as_object() for difference in self.diff]
        return shown
