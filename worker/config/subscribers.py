"""Subscribers: what they read from Halo, how often, and where they publish the changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.children import ForEachDefinition, IncludeDefinition
from worker.config.cron import Cron
from worker.config.definition import Definition, mistake
from worker.config.examples import Examples
from worker.config.reports import ReportDefinition
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
