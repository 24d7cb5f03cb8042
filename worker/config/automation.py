"""Integrations, runbooks and webhooks once compiled: plain frozen objects, checked, with every expression ready."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from worker.catalogue.actions import Action
from worker.config.compiled import Condition, Find, Template
from worker.config.variables import VariablePath
from worker.core.exchange import Exchange
from worker.core.ports import Evaluator, Slot

DEFAULT_STEP_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Values:
    """What fillers and conditions of a run see.

    `variables`: by name; a missing one is empty. `plain`: names whose expression ended in `!`, put into longer text without quotes. `status`, `response`: of the
    last method or action; `request`: the starting payload.
    """

    variables: Mapping[str, Any] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    status: int | None = None
    response: Any = None
    request: Any = None

    def context(self) -> dict[str, Any]:
        """What JSONata sees as `$`: the variables as members, besides `status`, `response`, `request`."""
        return dict(self.variables) | {"status": self.status, "response": self.response, "request": self.request}


class RunTemplate(Protocol):
    """A value that may hold `<<Name>>` and `{{ JSONata }}` at any depth, compiled."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that it uses."""
        ...

    async def fill(self, values: Values, evaluator: Evaluator) -> Any:
        """A value that is one whole `<<Name>>` or `{{ … }}` keeps its type.

        Raises `ExpressionError` without customer data in its text, `EvaluatorUnavailable`.
        """
        ...


@dataclass(frozen=True, slots=True)
class IntegrationAuth:
    """How an integration's API knows us; secrets never appear in its repr."""

    type: Literal["none", "basic", "bearer", "api_key", "oauth2", "halo"] = "none"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    place: Literal["header", "query"] = "header"
    name: str | None = None
    value: str | None = field(default=None, repr=False)
    grant: Literal["client_credentials", "password"] = "client_credentials"
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ()
    client: str | None = None
    """The Halo client whose token is used (`halo`)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One call of an integration. `path`: literal text and fillers that each make one segment or a part of one; `output`: variables of the response."""

    name: str
    integration: str
    verb: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: tuple[str | RunTemplate, ...]
    query: Mapping[str, RunTemplate] = field(default_factory=dict)
    headers: Mapping[str, RunTemplate] = field(default_factory=dict)
    body: RunTemplate | None = None
    body_kind: Literal["json", "text", "form"] = "json"
    timeout: float = 30.0
    output: Mapping[str, VariablePath] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.integration}.{self.name}"


@dataclass(frozen=True, slots=True)
class Integration:
    """A custom integration: an API's address and authorization, with its methods. `allow_hosts`: (host, port or None) that may be private or foreign."""

    name: str
    base_url: str
    auth: IntegrationAuth
    methods: Mapping[str, Method]
    allow_hosts: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class CallerAuth:
    """How a public call proves who it is: basic, or a signature over the raw body."""

    type: Literal["basic", "signature"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    header: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Any of these may have signed: for rotation."""
    algorithm: Literal["sha256", "sha512"] = "sha256"
    digest: Literal["base64", "hex"] = "base64"
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """Where to go when `when` holds; the first that holds, None always does. `label`: the condition as it was written, for drawings."""

    when: Condition | None
    go: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One box of the flow chart: a method, an action, a condition (neither), or an end.

    `go`: where it leads; empty after a method or action means the run is done. `retry`, `in_doubt`, `find`, `timeout` as a publisher's.
    """

    name: str
    method: Method | None = None
    action: Action | None = None
    client: str | None = None
    path: Mapping[str, RunTemplate] = field(default_factory=dict)
    query: Mapping[str, RunTemplate] = field(default_factory=dict)
    body: RunTemplate | None = None
    output: Mapping[str, VariablePath] = field(default_factory=dict)
    go: tuple[Branch, ...] = ()
    on_failure: str | None = None
    end: Literal["done", "failed"] | None = None
    reason: RunTemplate | None = None
    retry: tuple[float, ...] = (10.0, 60.0, 600.0)
    in_doubt: Literal["park", "repeat"] = "park"
    find: Find | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Runbook:
    """A flow chart. `queue`: where starting payloads arrive; `endpoint`: who may POST them to /runbooks/<name>; `input`: variables of the payload."""

    name: str
    first: str
    steps: Mapping[str, Step]
    input: Mapping[str, VariablePath] = field(default_factory=dict)
    queue: str | None = None
    endpoint: CallerAuth | None = None
    step_limit: int = DEFAULT_STEP_LIMIT
    concurrency: int = 4

    @property
    def delays(self) -> tuple[float, ...]:
        """Every delay that a step may wait, for the retry queues."""
        steps = (step for step in self.steps.values() if step.method is not None or step.action is not None)
        return tuple(sorted({delay for step in steps for delay in step.retry}))


@dataclass(frozen=True, slots=True)
class Wake:
    """Let a subscriber read one record again at once."""

    subscriber: str
    id: Template


@dataclass(frozen=True, slots=True)
class Webhook:
    """Receives Halo's deliveries at /webhooks/<name>; one or more of `runbook`, `exchange`, `wake`. `id`: the delivery's identity."""

    name: str
    client: str
    auth: CallerAuth
    events: tuple[int, ...] = ()
    """Numbers of Halo's notification events."""
    id: Template | None = None
    when: Condition | None = None
    runbook: str | None = None
    exchange: str | None = None
    routing_key: Template | None = None
    wake: Wake | None = None


class Caller(Protocol):
    """Calls methods of integrations. Implemented by `worker.integrations`."""

    def reserve(
        self, method: Method, values: Values, *, timeout: float | None = None, after: Exchange | None = None
    ) -> AbstractAsyncContextManager[Slot | Exchange]:
        """As `Halo.reserve`; raises what `call` raises."""
        ...

    async def call(self, method: Method, values: Values, *, timeout: float | None = None) -> Exchange:  # noqa: ASYNC109 - part of the request
        """One exchange; `status` and `body` (JSON, or text) are set whenever an answer was read, whatever its status. `timeout` overrides the method's own, in seconds.

        Fates: DONE for 2xx, REJECTED for other answers below 500, AUTH for 401 and 403, THROTTLED for 429, AMBIGUOUS for 5xx and for what broke after it was sent, NOT_SENT.
        Raises `ExpressionError` (a run_template failed), `EvaluatorUnavailable`, `CallRefused` (it may not be sent: a path segment, a host, a header).
        """
        ...
