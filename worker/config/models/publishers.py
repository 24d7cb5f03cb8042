"""Publishers: which queue they take messages from, and what they ask Halo to do with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from worker.config.models.base import BrokerName, Definition, Document, Duration, Expression, Parameters, Request, Text

Fields = Annotated[
    dict[str, Document],
    Field(min_length=1),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "minProperties": 1}),
]


class Bind(Definition):
    """One binding of the route's queue."""

    exchange: BrokerName = Field(description="A durable topic exchange; it is declared.")
    routing_key: Annotated[str, Field(max_length=255)] = Field(default="#", description="Which messages; `*` is one word, `#` any number.")


class FindDefinition(Definition):
    """Look before create: the record that the message is about, if it is in Halo already."""

    path: Parameters = Field(default={}, description="Values for the {parameters} of the path.")
    query: Parameters = Field(default={}, description="Query parameters that narrow the list down.")
    match: Fields = Field(description="Members and the values that they must have; exactly one row must match.")
    use: Literal["doubtful", "always"] = Field(default="doubtful", description="Look only when an earlier attempt may have succeeded, or before each create.")
    then: Literal["update", "skip"] = Field(default="update", description="What to do with a record that is found.")


class PublisherDefinition(Definition):
    """Takes messages from a queue and sends each to one POST or DELETE of Halo's API."""

    client: Text = Field(description="The client to send to.")
    queue: BrokerName = Field(description="The queue to take messages from.")
    bind: list[Bind] = Field(default=[], description="Exchanges whose messages the queue is to get.")
    declare: bool = Field(default=True, description="Declare the queue; false takes one that exists as it is.")
    method: Literal["POST", "DELETE"] = Field(default="POST", description="What to do.")
    entity: Text = Field(description="Any POST or DELETE of the API.", examples=["Tickets", "Asset/{id}"])
    request: Request = Field(default=Request(), description="Path and query parameters; those of the message win.")
    when: Expression | None = Field(default=None, description="Only messages for which this holds are sent; others are acked and counted as skipped.")
    transform: Document = Field(
        default=None,
        description="Makes `path`, `query` and `payload` of the message: a mapping with expressions, or one JSONata text; by default the message has them.",
    )
    find: FindDefinition | None = Field(default=None, description="Look before create.")
    in_doubt: Literal["park", "repeat"] = Field(default="park", description="What becomes of a create that may have been done and cannot be looked up.")
    retry: list[Duration] = Field(default=[10.0, 60.0, 600.0, 3600.0], max_length=20, description="The delays between attempts; [] for none.")
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="How many messages at a time; 4, and 1 for new tickets, which Halo does not take in parallel."
    )
    once: Expression | None = Field(
        default=None,
        description="What tells a message that its sender sends twice: of those with the same value, one in about a day is sent, and the others count as skipped.",
        examples=["{{ $headers.`order-id` }}"],
    )
    order_by: Expression | None = Field(
        default=None,
        description="What keeps messages in order: those with the same value are applied one after the other, also across retries and replicas.",
        examples=["{{ serial }}"],
    )
    allow_unknown: bool = Field(default=False, description="Let an entity or parameter through that the known API does not have.")
