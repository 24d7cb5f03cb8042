"""Compiled clients and routes: checked, frozen objects with compiled expressions. The flows see only these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.automation import Integration, Runbook, Webhook
from worker.config.compiled import Condition, Example, Find, Include, Parents, Report, RequestParameters, Template
from worker.config.config_node import Table
from worker.config.integration_parts import ClientAuth
from worker.config.required import Required
from worker.core.errors import Problem
from worker.core.known_secrets import KnownSecrets
from worker.core.redaction import is_secret_name
from worker.core.results import REPLIES, ResultTarget
from worker.core.topology import Source

FILES = "*"
"""No definition can have this name."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in any rolling `seconds`."""

    requests: int = 700
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Grant:
    """The OAuth grant of a client; its repr shows no secret."""

    type: Literal["client_credentials", "password"]
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("all",)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further fields of each token request, such as `audience`."""
    client_auth: ClientAuth = "client_secret_post"
    private_key: str | None = field(default=None, repr=False)
    """PEM, for `private_key_jwt`."""
    key_id: str | None = None
    algorithm: str = "RS256"
    assertion_audience: str | None = None
    """None: the token address."""

    @property
    def secret_parameters(self) -> tuple[str, ...]:
        """The values of `parameters` whose names say that they are secret."""
        return tuple(value for name, value in self.parameters.items() if is_secret_name(name))


@dataclass(frozen=True, slots=True)
class Client:
    """One Halo tenant and the application that calls it; addresses without a trailing slash."""

    name: str
    url: str | None
    grant: Grant
    api_url: str | None = None
    token_url: str | None = None
    tenant: str | None = None
    rate_limit: RateLimit | None = field(default_factory=RateLimit)
    timeout: float = 30.0
    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    catalogue: Catalogue | None = field(default=None, repr=False, compare=False)
    """The catalogue of the tenant's own OpenAPI file; None: the published API."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Polls one GET of one client and publishes what changed. Exactly one of `every` (seconds) and `cron` is set."""

    name: str
    client: str
    operation: Operation
    every: float | None = 60.0
    cron: str | None = None
    request: RequestParameters = field(default_factory=RequestParameters)
    input_transform: Template | None = None
    changes: Literal["by_date", "by_content", "all"] = "by_content"
    start: Literal["now", "beginning"] | datetime = "now"
    overlap: float = 300.0
    details: Operation | None = None
    """The `/{id}` operation that fetches each changed record before it is published; None: publish the row."""
    report: Report | None = None
    """The statement whose rows are the records; `operation` then only names their kind."""
    for_each: Parents | None = None
    """The parents whose lists are read; `changes` then says how to find changed parents, and the children are compared by content."""
    include: Mapping[str, Include] = field(default_factory=dict)
    """Lists that become members of each changed record, by the member."""
    deletes: bool = False
    deletes_limit: int = 10
    """The maximum share of the known records, in percent, that one poll reports as deleted."""
    unrouted: Literal["park", "stop", "drop"] = "park"
    when: Condition | None = None
    transform: Template | None = None
    required: Required = field(default_factory=Required)
    exchange: str = "halo"
    routing_key: Template | None = None
    """None: the default, `<resource>.<change>`."""
    queue: str | None = None
    """A queue to declare, bound to the exchange with `queue_binding`."""
    queue_binding: str = "#"
    key: tuple[str, ...] = ("id",)
    ignore: frozenset[str] = frozenset()
    """Members that the comparison of contents ignores."""
    echo: bool = False
    """Whether the worker's own writes through the same client are published."""
    on_lost_cursor: Literal["wait", "start"] = "wait"
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Publisher:
    """Consumes from a queue and sends each message to one POST or DELETE of one client."""

    name: str
    client: str
    queue: str
    operation: Operation
    declare: bool = True
    bind: tuple[Source, ...] = ()
    """The exchanges from which its queue gets messages."""
    request: RequestParameters = field(default_factory=RequestParameters)
    when: Condition | None = None
    transform: Template | None = None
    required: Required = field(default_factory=Required)
    find: Find | None = None
    in_doubt: Literal["park", "repeat"] = "park"
    retry: tuple[float, ...] = (10.0, 60.0, 600.0, 3600.0)
    concurrency: int = 4
    order_by: Template | None = None
    """The ordering key; None: messages have no order."""
    fair_by: Template | None = None
    """Returns the customer whose turn a message takes; None: there are no turns."""
    once: Template | None = None
    """The idempotency key: of several messages with the same key, only the first is sent; None: all are sent."""
    result: ResultTarget | None = None
    """The destination of results in addition to the sender's reply address."""
    reply_to: tuple[str, ...] = REPLIES
    """Patterns of the queues that a sender may name for its results."""
    may_be_empty: bool = True
    """Whether the route asks for an empty payload; otherwise its transform did not fit the message."""
    examples: tuple[Example, ...] = ()

    @property
    def has_waiting_queue(self) -> bool:
        """Whether messages wait for their turn in `<queue>.order`, from which one replica at a time starts them."""
        return self.order_by is not None or self.fair_by is not None


@dataclass(frozen=True, slots=True)
class Routes:
    """The definitions of one directory of route files."""

    clients: Mapping[str, Client] = field(default_factory=dict)
    subscribers: Mapping[str, Subscriber] = field(default_factory=dict)
    publishers: Mapping[str, Publisher] = field(default_factory=dict)
    integrations: Mapping[str, Integration] = field(default_factory=dict)
    runbooks: Mapping[str, Runbook] = field(default_factory=dict)
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = field(default=(), repr=False, compare=False)
    """The warnings, sorted by place."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The text of each definition, by name, and under `FILES` a digest of tables and connections: shows which definitions a changed file changes."""
    secrets: KnownSecrets = field(default_factory=KnownSecrets, repr=False, compare=False)
    """Credentials of secret files and route files, which must not be shown or logged."""
    filled: KnownSecrets = field(default_factory=KnownSecrets, repr=False, compare=False)
    """These and every other filled variable except addresses: displays mask them in the responses of other APIs."""
