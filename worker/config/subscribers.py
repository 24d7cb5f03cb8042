"""Subscribers: what they read from Halo, how often, and where they publish the changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.children import ForEachDefinition, IncludeDefinition, compile_includes
from worker.config.compiled import Template
from worker.config.config_node import ConfigNode
from worker.config.cron import Cron
from worker.config.definition import Definition, build, compile_members, mistake
from worker.config.examples import Examples, compile_examples
from worker.config.expressions import compile_template
from worker.config.node_values import transform
from worker.config.reading import check_start, list_reading, report_reading
from worker.config.references import References
from worker.config.reports import ReportDefinition
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
    entity: Text | None = Field(
        default=None,
        description="Any GET of the API; beside `report`: what the rows are, if they are records of the API.",
        examples=["Tickets", "Asset", "Actions/{id}"],
    )
    report: ReportDefinition | None = Field(default=None, description="Read a table of Halo's reporting database by SQL instead of a list of the API.")
    for_each: ForEachDefinition | None = Field(
        default=None, description="Read the list once for each changed record of another list, which expressions see as `$parent`."
    )
    include: dict[str, IncludeDefinition] = Field(
        default={}, description="Lists that the worker reads for each changed record, by the member that they become."
    )
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
    deletes_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10,
        description="The maximum share of the known records, in percent, that one poll reports as deleted; beyond it none is, and the worker raises an alert.",
    )
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
    reading = report_reading(definition, node, catalogue) if definition.report is not None else list_reading(definition, node, catalogue)
    if reading is None:
        return None
    operation = reading["operation"]
    check_start(definition, reading["changes"], node)
    nameless = definition.report is not None and definition.entity is None and routing_key is None
    return build(
        Subscriber,
        definition,
        compiled,
        name=name_for(node.name, client) if isinstance(node.child("client").value, list) else node.name,
        every=None if definition.cron else definition.every or EVERY,
        exchange=definition.publish.exchange,
        routing_key=route_named(node.name) if nameless else routing_key,
        queue=definition.queue or definition.publish.queue,
        queue_binding=f"{node.name}.*" if nameless else binding_pattern(operation.resource, publish.child("routing_key")),
        ignore=frozenset(definition.ignore or ()),
        include=compile_includes(definition.include, node.child("include"), catalogue, definition.allow_unknown),
        examples=compile_examples(definition.examples, node.child("examples")),
        **reading,
    )


def route_named(name: str) -> Template:
    """The routing key of a report whose rows have no entity: the name of the route in its place."""
    return compile_template(f"{name}.{{{{ $change }}}}")


def check_alternatives(definition: SubscriberDefinition, node: ConfigNode) -> None:
    """Members of which a route has only one."""
    if definition.every is not None and definition.cron is not None:
        node.child("cron").add_key_error("both `every` and `cron` are given: write one of them")
    if definition.queue is not None and definition.publish.queue is not None:
        node.child("queue").add_key_error("both `queue` and `publish.queue` are given: write one of them")


def binding_pattern(resource: str, routing_key: ConfigNode) -> str:
    """The binding of the route's own queue: it matches every value of the routing key."""
    if not isinstance(routing_key.value, str):
        return f"{resource}.*"
    before, brace, _ = routing_key.value.partition("{{")
    literal = routing_key.fill(before)
    return literal.rpartition(".")[0] + ".#" if brace and "." in literal else "#" if brace else literal
