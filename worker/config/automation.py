"""Compiled integrations, runbooks and webhooks: checked, frozen objects with compiled expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from worker.catalogue.actions import Action
from worker.catalogue.operation import Operation
from worker.config.compiled import Condition, Example, Find, Template
from worker.config.control_steps import Branch, ForEach, Publication, SubRunbook
from worker.config.integration_parts import ClientAuth, Login, PagingRule
from worker.config.required import Required
from worker.config.run_values import RunTemplate
from worker.config.variables import VariablePath
from worker.core.media_types import BodyKind
from worker.core.topology import Source

DEFAULT_STEP_LIMIT = 100
StepKind = Literal["method", "action", "set", "wait", "publish", "start", "for_each", "end", "condition"]
THROTTLED_WAITS = (30.0, 120.0, 300.0, 900.0)  # seconds; the worker waits for a longer `Retry-After` in parts


@dataclass(frozen=True, slots=True)
class IntegrationAuth:
    """The worker's credentials at an integration's API; the repr shows no secret."""

    type: Literal["none", "basic", "bearer", "api_key", "oauth2", "login", "halo"] = "none"
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
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further fields of each token request."""
    client_auth: ClientAuth = "client_secret_post"
    private_key: str | None = field(default=None, repr=False)
    key_id: str | None = None
    algorithm: str = "RS256"
    assertion_audience: str | None = None
    login: Login | None = None
    client: str | None = None
    """The Halo client that lends its token (`halo`)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One call of an integration. `path`: literal text, and templates that each make one segment or a part of one; `output`: variables of the response."""

    name: str
    integration: str
    verb: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: tuple[str | RunTemplate, ...]
    query: Mapping[str, RunTemplate] = field(default_factory=dict)
    headers: Mapping[str, RunTemplate] = field(default_factory=dict)
    body: RunTemplate | None = None
    body_kind: BodyKind = "json"
    response_kind: Literal["auto", "base64"] = "auto"
    pages: PagingRule | None = None
    timeout: float = 30.0
    output: Mapping[str, VariablePath] = field(default_factory=dict)
    row: RunTemplate | None = None
    """The key of the call's customer, if the integration has customers."""

    @property
    def full_name(self) -> str:
        return f"{self.integration}.{self.name}"


@dataclass(frozen=True, slots=True)
class Integration:
    """A custom integration: an API's address and authorization, with its methods. `allow_hosts`: (host, port or None) of private or other hosts that it may call.

    `proxy`, and the PEM files `ca_file`, `cert_file` and `key_file`, apply to its API and to its token endpoint. `customer`: the key of its row; `values`: that
    row. Two integrations with the same connection are equal, whatever their methods.
    """

    name: str
    base_url: str
    auth: IntegrationAuth
    methods: Mapping[str, Method] = field(compare=False)
    allow_hosts: tuple[tuple[str, int | None], ...] = ()
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    trace_context: bool = False
    """Whether its requests carry the trace context."""
    customer: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    customers: Customers | None = field(default=None, compare=False)
    """With customers, each call uses one customer's integration; the other members here are those of the first row."""

    @property
    def title(self) -> str:
        """Its name, with its customer."""
        return f"{self.name} ({self.customer})" if self.customer else self.name

    @property
    def each(self) -> tuple[Integration, ...]:
        """Return the integration itself, or the integration of each customer."""
        return (self,) if self.customers is None else tuple(self.customers.rows.values())

    def own(self, method: Method) -> Method:
        """Return the method as this customer calls it: a customer's login holds its own credentials."""
        return self.methods[method.name] if self.auth.login is not None and self.auth.login.method == method.name else method

    def offline(self) -> Integration:
        """Return the integration with the same methods, without the parts that only a connection needs."""
        customers = self.customers and replace(self.customers, rows={key: each.offline() for key, each in self.customers.rows.items()})
        return replace(self, auth=IntegrationAuth(), proxy=None, ca_file=None, cert_file=None, key_file=None, customers=customers)

    def sets_credentials(self, method: str) -> bool:
        """Whether the headers of a method may carry credentials: the worker adds none to it."""
        return self.auth.type == "none" or (self.auth.login is not None and self.auth.login.method == method)


@dataclass(frozen=True, slots=True)
class Customers:
    """`rows`: an integration for each customer, by the key of its row in `table`. `at_once`: maximum calls of one customer in flight."""

    table: str
    at_once: int
    rows: Mapping[str, Integration]


@dataclass(frozen=True, slots=True)
class CallerAuth:
    """The authentication of a public call: basic, or a signature over the raw body."""

    type: Literal["basic", "signature"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    header: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The secrets whose signatures are accepted: several, for rotation."""
    algorithm: Literal["sha256", "sha512"] = "sha256"
    digest: Literal["base64", "hex"] = "base64"
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the flow chart; `kind` says which. A condition has only branches.

    `go`: its branches; without any the run is done after this step. `retry`, `in_doubt`, `find`, `timeout` as a publisher's.
    """

    name: str
    method: Method | None = None
    action: Action | None = None
    operation: Operation | None = None
    """The operation of the action, as the client's API has it."""
    client: str | None = None
    path: Mapping[str, RunTemplate] = field(default_factory=dict)
    query: Mapping[str, RunTemplate] = field(default_factory=dict)
    body: RunTemplate | None = None
    required: Required = field(default_factory=Required)
    output: Mapping[str, VariablePath] = field(default_factory=dict)
    go: tuple[Branch, ...] = ()
    on_failure: str | None = None
    end: Literal["done", "failed"] | None = None
    reason: RunTemplate | None = None
    retry: tuple[float, ...] = (10.0, 60.0, 600.0)
    in_doubt: Literal["park", "repeat"] = "park"
    find: Find | None = None
    timeout: float | None = None
    set: RunTemplate | None = None
    """A mapping from variables to their values; `sets` are its variables."""
    sets: tuple[str, ...] = ()
    wait: float | None = None
    """Seconds."""
    publish: Publication | None = None
    start: SubRunbook | None = None
    each: ForEach | None = None

    @property
    def kind(self) -> StepKind:
        found: Mapping[StepKind, Any] = {
            "end": self.end,
            "method": self.method,
            "action": self.action,
            "set": self.set,
            "wait": self.wait,
            "publish": self.publish,
            "start": self.start,
            "for_each": self.each,
        }
        return next((kind for kind, value in found.items() if value is not None), "condition")

    @property
    def waits(self) -> tuple[float, ...]:
        """Return the delays of the queues in which this step can wait for another API's `Retry-After`."""
        return tuple(sorted({*self.retry, *THROTTLED_WAITS}))


@dataclass(frozen=True, slots=True)
class Runbook:
    """A flow chart. `queue`: its messages start runs; `endpoint`: the authentication for POST /runbooks/<name>; `input`: variables of the payload."""

    name: str
    first: str
    steps: Mapping[str, Step]
    input: Mapping[str, VariablePath] = field(default_factory=dict)
    queue: str | None = None
    bind: tuple[Source, ...] = ()
    """The exchanges from which `queue` gets messages."""
    schedule: str | None = None
    """A cron line, UTC."""
    endpoint: CallerAuth | None = None
    step_limit: int = DEFAULT_STEP_LIMIT
    concurrency: int = 4
    examples: tuple[Example, ...] = ()

    @property
    def delays(self) -> tuple[float, ...]:
        """The delays of all steps, for the retry queues."""
        steps = self.steps.values()
        found = {delay for step in steps if step.method is not None for delay in step.waits}
        found |= {delay for step in steps if step.action is not None or step.publish is not None for delay in step.retry}
        found |= {step.wait for step in steps if step.wait is not None}
        return tuple(sorted(found))

    @property
    def outlets(self) -> tuple[str, ...]:
        """The exchanges to which its steps publish."""
        return tuple(sorted({step.publish.exchange for step in self.steps.values() if step.publish is not None}))


@dataclass(frozen=True, slots=True)
class Wake:
    """Makes a subscriber read one record again immediately."""

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
    examples: tuple[Example, ...] = ()
