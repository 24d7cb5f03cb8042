"""Route files once compiled: plain frozen objects, checked, with every expression ready. The flows see only these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from worker.catalogue.operation import Operation
from worker.config.automation import Integration, Runbook, Webhook
from worker.config.compiled import Condition, Find, RequestParameters, Template
from worker.core.known_secrets import KnownSecrets


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in any rolling `seconds`."""

    requests: int = 700
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Grant:
    """How a client gets its token; secrets never appear in its repr."""

    type: Literal["client_credentials", "password"]
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("all",)


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
    """The `/{id}` operation that fetches a changed record whole before it is published; None: publish the row."""
    deletes: bool = False
    unrouted: Literal["park", "stop", "drop"] = "park"
    when: Condition | None = None
    transform: Template | None = None
    exchange: str = "halo"
    routing_key: Template | None = None
    """None: the default, `<resource>.<change>`."""
    queue: str | None = None
    """A queue to declare, bound to the exchange with `queue_binding`."""
    queue_binding: str = "#"
    key: tuple[str, ...] = ("id",)
    ignore: frozenset[str] = frozenset()
    """Further members that do not count as content."""
    echo: bool = False
    """Whether what our own publishers and runbooks wrote through the same client is published."""
    on_lost_cursor: Literal["wait", "start"] = "wait"


@dataclass(frozen=True, slots=True)
class Publisher:
    """Takes messages from a queue and sends each to one POST or DELETE of one client."""

    name: str
    client: str
    queue: str
    operation: Operation
    declare: bool = True
    bind: tuple[tuple[str, str], ...] = ()
    """(exchange, routing key) pairs."""
    request: RequestParameters = field(default_factory=RequestParameters)
    when: Condition | None = None
    transform: Template | None = None
    find: Find | None = None
    in_doubt: Literal["park", "repeat"] = "park"
    retry: tuple[float, ...] = (10.0, 60.0, 600.0, 3600.0)
    concurrency: int = 4
    order_by: Template | None = None
    """What messages have in common that must be applied in order; None: no order is kept."""
    once: Template | None = None
    """What messages have in common of which only the first is wanted; None: all are wanted."""
    may_be_empty: bool = True
    """Whether a payload without any member is what the route asks for, and not what its transform made of a message that it does not fit."""
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything that the route files of one directory say."""

    clients: Mapping[str, Client] = field(default_factory=dict)
    subscribers: Mapping[str, Subscriber] = field(default_factory=dict)
    publishers: Mapping[str, Publisher] = field(default_factory=dict)
    integrations: Mapping[str, Integration] = field(default_factory=dict)
    runbooks: Mapping[str, Runbook] = field(default_factory=dict)
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    secrets: KnownSecrets = field(default_factory=KnownSecrets, repr=False, compare=False)
    """Credentials: what files of secrets hold, and what stands where a credential belongs. Nothing of it is to be shown or logged."""
    filled: KnownSecrets = field(default_factory=KnownSecrets, repr=False, compare=False)
    """These, and every other variable that was filled in but addresses: what is masked in answers of other APIs when they are shown."""
