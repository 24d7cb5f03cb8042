"""Subscribers: what is read from Halo, how often, and where the changes go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from worker.config.models.base import BrokerName, Definition, Document, Duration, DurationOrNothing, Expression, Request, Text, mistake

EVERY = 60.0
CRON_FIELDS = 5


def cron(value: str) -> str:
    """A cron expression of five fields."""
    if len(value.split()) != CRON_FIELDS:
        raise mistake('must be five fields, such as "*/5 * * * *"')
    try:
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise mistake(f"is not a cron expression: {str(error).lower()}") from None
    return value


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


Cron = Annotated[str, AfterValidator(cron)]
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
    """Where the events go."""

    exchange: BrokerName = Field(default="halo", description="A durable topic exchange; it is declared.")
    routing_key: Text | None = Field(default=None, description="Text with expressions; by default the entity and the kind of change, such as tickets.updated.")
    queue: BrokerName | None = Field(default=None, description="A queue to declare and bind for the events.")


class SubscriberDefinition(Definition):
    """Polls one GET of Halo's API and publishes what changed."""

    client: Text = Field(description="The client to ask.")
    entity: Text = Field(description="What to read: any GET of the API.", examples=["Tickets", "Asset", "Actions/{id}"])
    every: Duration | None = Field(default=None, description="The time between two polls; 60s unless `cron` is given.")
    cron: Cron | None = Field(default=None, description="When to poll, in the five fields of cron, UTC.")
    request: Request = Field(default=Request(), description="Path and query parameters.")
    input_transform: Document = Field(default=None, description="A mapping with `path` and `query`, merged into `request`; its context is the request.")
    changes: Literal["auto", "by_date", "by_content", "all"] = Field(
        default="auto", description="How changes are found: by Halo's date filter, by comparing contents, or every record at every poll."
    )
    start: Start = Field(default="now", description="What the first poll publishes: nothing, everything, or what changed since a date.")
    overlap: DurationOrNothing = Field(default=300.0, description="How far before the last poll the date filter begins.")
    details: bool = Field(default=False, description="Fetch each changed record by its id before it is published.")
    deletes: bool = Field(default=False, description="Report records that two complete scans in a row do not hold.")
    unrouted: Literal["park", "stop", "drop"] = Field(default="park", description="What becomes of events that no queue takes.")
    when: Expression | None = Field(default=None, description="Only records for which this holds are published.")
    transform: Document = Field(default=None, description="The body of the events: a mapping with expressions, or one JSONata text; by default the record.")
    publish: Publish = Field(default=Publish(), description="The exchange, routing key and queue of the events.")
    queue: BrokerName | None = Field(default=None, description="A queue to declare and bind for the events.")
    key: Members | None = Field(default=None, description="The members that identify a record; known for the entities of the API.")
    ignore: Members | None = Field(default=None, description="Members whose change is no change.")
    echo: bool = Field(default=False, description="Publish also what this worker's own publishers and runbooks wrote through the same client.")
    on_lost_cursor: Literal["wait", "start"] = Field(
        default="wait", description="What to do when the position is lost: wait for a command, or begin as on the first day."
    )
    allow_unknown: bool = Field(default=False, description="Let an entity or parameter through that the known API does not have.")
