"""Subscribers: what they read from Halo, how often, and where they publish the changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.catalogue.operation import Operation
from worker.config.config_node import ConfigNode
from worker.config.cron import Cron
from worker.config.definition import Definition, build, compile_members, mistake
from worker.config.examples import Examples, compile_examples
from worker.config.node_values import transform
from worker.config.parameters import Checks, check_transform, find_operation, own_parameters, request_parameters, require_path, supplies_any_path
from worker.config.references import References
from worker.config.required import compile_required
from worker.config.routes import Subscriber
from worker.config.value_types import (
    BrokerName,
    ClientNames,
    ConditionText,
    Duration,
    DurationOrNothing,
    ExchangeName,
    InputTransform,
    Missing,
    Request,
    RequiredNames,
    TemplateText,
    Text,
    Transform,
    Unknown,
)
from worker.core.route_names import name_for

EVERY = 60.0
NOT_FILTERING = ("include", "order")
FILTERING = ("only", "include_this_id")
SHOWING = frozenset({"cf_display_values_only"})

Changes = Literal["by_date", "by_content", "all"]


def start(value: Any) -> Any:
    """`now`, `beginning`, or an ISO date or time; without a zone it is UTC."""
    if value in {"now", "beginning"}:
        return value
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise mistake("must be now, beginning, or a date such as 2026-01-31 or 2026-01-31T08:00:00Z")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Start = Annotated[
    Literal["now", "beginning"] | datetime, BeforeValidator(start), WithJsonSchema({"type": "string", "examples": ["now", "beginning", "2026-01-31"]})
]
Members = Annotated[
    list[Text],
    BeforeValidator(one_or_more),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Publish(Definition):
    """The destination of the events."""

    exchange: ExchangeName = Field(
        default="halo", description="An exchange; the worker takes one that exists as it is, and declares an absent one as a topic exchange."
    )
    routing_key: TemplateText | None = Field(
        default=None, description="Text with expressions; default: the entity and the kind of change, such as tickets.updated."
    )
    queue: BrokerName | None = Field(default=None, description="A queue to declare and bind for the events.")


class SubscriberDefinition(Definition):
    """Polls one GET of Halo's API and publishes what changed."""

    client: ClientNames = Field(
        description="The client to read from. A list makes one route for each, called `name@client`, with its own cursor, budget and dead queue."
    )
    entity: Text = Field(description="Any GET of the API.", examples=["Tickets", "Asset", "Actions/{id}"])
    every: Duration | None = Field(default=None, description="The time between two polls; default: 60s without `cron`.")
    cron: Cron | None = Field(default=None, description="The times to poll, in the five fields of cron, UTC.")
    request: Request = Field(default=Request(), description="Path and query parameters.")
    input_transform: InputTransform = Field(
        default=None, description="A mapping with `path` and `query` that the worker merges into `request`; its context is the request."
    )
    changes: Literal["auto", "by_date", "by_content", "all"] = Field(
        default="auto", description="The detection of changes: Halo's date filter, a comparison of contents, or every record at every poll."
    )
    start: Start = Field(default="now", description="The events of the first poll: none, every record, or changes since a date.")
    overlap: DurationOrNothing = Field(default=300.0, description="The date filter starts this long before the last poll.")
    details: bool = Field(default=False, description="Fetch each changed record by its id before publishing it.")
    deletes: bool = Field(default=False, description="Report records that are missing from two complete scans in a row.")
    unrouted: Literal["park", "stop", "drop"] = Field(default="park", description="The action for events that no queue receives.")
    when: ConditionText | None = Field(default=None, description="The worker publishes only records for which this is true.")
    transform: Transform = Field(default=None, description="The body of the events: a mapping with expressions, or one JSONata text; default: the record.")
    missing: Missing = "omit"
    required: RequiredNames = Field(default=[])
    publish: Publish = Field(default=Publish(), description="The exchange, routing key and queue of the events.")
    queue: BrokerName | None = Field(default=None, description="A queue to declare and bind for the events.")
    key: Members | None = Field(default=None, description="The members that identify a record; default: those of the entity in the API.")
    ignore: Members | None = Field(default=None, description="Members that the detection of changes ignores.")
    echo: bool = Field(default=False, description="Publish also the worker's own writes through the same client.")
    on_lost_cursor: Literal["wait", "start"] = Field(
        default="wait", description="The action after the cursor is lost: wait for a command, or start again as `start` says."
    )
    allow_unknown: Unknown = False
    examples: Examples = Field(default=[], description="Inputs and their expected results; `halo-worker test` runs them offline.")


def for_each_client(definition: SubscriberDefinition) -> list[SubscriberDefinition]:
    """The definition once for each of its clients."""
    clients = [definition.client] if isinstance(definition.client, str) else definition.client
    return [definition.model_copy(update={"client": client}) for client in clients]


def compile_subscriber(definition: SubscriberDefinition, node: ConfigNode, references: References) -> Subscriber | None:
    """None where the operation is not known. The definition has one client, also where the file lists several."""
    client = str(definition.client)
    compiled = compile_members(SubscriberDefinition, node) | {
        "transform": transform(node.child("transform"), definition.missing),
        "required": compile_required(node.child("required"), node.child("transform")),
    }
    publish = node.child("publish")
    routing_key = compile_members(Publish, publish)["routing_key"]
    check_alternatives(definition, node)
    catalogue = references.catalogue_of(client)
    operation = find_operation(node, catalogue, definition.entity, "GET", allow_unknown=definition.allow_unknown)
    if operation is None:
        return None
    changes = resolve_changes(definition, operation, node)
    checks = Checks(catalogue, operation, definition.allow_unknown, own_parameters(operation, by_date=changes == "by_date"))
    request = request_parameters(node.child("request"), checks)
    input_transform = node.child("input_transform")
    supplied = {*request.path, *check_transform(input_transform, ("path", "query"), checks)}
    if not supplies_any_path(input_transform):
        require_path(node, checks, supplied, "`request.path`")
    check_changes(definition, operation, changes, node)
    details = catalogue.details_of(operation) if definition.details else None
    if definition.details and details is None:
        node.child("details").add_error(f"Halo has no single record to fetch for {operation.entity}: leave `details` out")
    return build(
        Subscriber,
        definition,
        compiled,
        name=name_for(node.name, client) if isinstance(node.child("client").value, list) else node.name,
        operation=operation,
        every=None if definition.cron else definition.every or EVERY,
        request=request,
        changes=changes,
        details=details,
        exchange=definition.publish.exchange,
        routing_key=routing_key,
        queue=definition.queue or definition.publish.queue,
        queue_binding=binding_pattern(operation.resource, publish.child("routing_key")),
        key=tuple(definition.key or operation.key),
        ignore=frozenset(definition.ignore or ()),
        examples=compile_examples(definition.examples, node.child("examples")),
    )


def check_alternatives(definition: SubscriberDefinition, node: ConfigNode) -> None:
    """Members of which a route has only one."""
    if definition.every is not None and definition.cron is not None:
        node.child("cron").add_key_error("both `every` and `cron` are given: write one of them")
    if definition.queue is not None and definition.publish.queue is not None:
        node.child("queue").add_key_error("both `queue` and `publish.queue` are given: write one of them")


def resolve_changes(definition: SubscriberDefinition, operation: Operation, node: ConfigNode) -> Changes:
    """`auto` means by date where Halo can filter, and otherwise by content."""
    dated = operation.listing is not None and operation.listing.dated
    if definition.changes == "auto":
        return "by_date" if dated else "by_content"
    if definition.changes == "by_date" and not dated and definition.allow_unknown is not True:
        node.child("changes").add_error(f"Halo cannot filter {operation.entity} by date: write by_content, all or auto")
    return definition.changes


def check_changes(definition: SubscriberDefinition, operation: Operation, changes: Changes, node: ConfigNode) -> None:
    """What depends on how changes are found."""
    if isinstance(definition.start, datetime) and changes != "by_date":
        node.child("start").add_error(
            f"`start` can be a date only where changes are found by date, which is not so for this route ({changes}): write now or beginning"
        )
    if definition.deletes:
        check_deletes(operation, node)


def check_deletes(operation: Operation, node: ConfigNode) -> None:
    """A record that a filter hides would look deleted."""
    if operation.listing is None:
        node.child("deletes").add_error(f"`deletes` is for lists; {operation.entity} is one record")
    for holder in ("request", "input_transform"):
        for name, member in node.child(holder).child("query").members.items():
            if filtering(name):
                member.add_key_error(f"`{name}` may filter: with `deletes: true` the worker would report hidden records as deleted")


def filtering(name: str) -> bool:
    lower = name.lower()
    return lower not in SHOWING and (not lower.startswith(NOT_FILTERING) or lower.endswith(FILTERING))


def binding_pattern(resource: str, routing_key: ConfigNode) -> str:
    """The binding of the route's own queue: it matches every value of the routing key."""
    if not isinstance(routing_key.value, str):
        return f"{resource}.*"
    before, brace, _ = routing_key.value.partition("{{")
    literal = routing_key.fill(before)
    return literal.rpartition(".")[0] + ".#" if brace and "." in literal else "#" if brace else literal
