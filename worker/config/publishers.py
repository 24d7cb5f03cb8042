"""Publishers: the queue that they consume from, and their requests to Halo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from worker.catalogue.operation import Operation
from worker.config.binds import Bind, compile_bind
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build, compile_members
from worker.config.examples import Examples, compile_examples
from worker.config.lookups import FindDefinition, compile_find
from worker.config.node_values import transform
from worker.config.parameters import ParameterRules, check_transform, find_operation, request_parameters, require_path, supplies_any_path
from worker.config.references import References
from worker.config.required import compile_required
from worker.config.routes import Publisher
from worker.config.value_types import (
    BrokerName,
    Concurrency,
    ConditionText,
    ExchangeName,
    ExpressionText,
    Missing,
    ReplyPattern,
    Request,
    RequiredNames,
    Retry,
    Text,
    Transform,
    Unknown,
)
from worker.core.results import REPLIES, ResultTarget

SHAPE = ("path", "query", "payload")
NEW_TICKETS = "/Tickets"


class Result(Definition):
    """Where the result of each message goes."""

    exchange: ExchangeName = Field(default="halo", description="An exchange; the worker takes one that exists as it is, and declares an absent one.")
    routing_key: Annotated[Text, Field(max_length=255)] = Field(description="The routing key of the results.", examples=["results.assets"])
    queue: BrokerName | None = Field(default=None, description="A queue to declare and bind for the results.")


class PublisherDefinition(Definition):
    """Takes messages from a queue and sends each to one POST or DELETE of Halo's API."""

    client: Text = Field(description="The client to send to.")
    queue: BrokerName = Field(description="The queue to consume from.")
    bind: list[Bind] = Field(default=[], description="Exchanges to bind the queue to.")
    declare: bool = Field(default=True, description="Declare the queue; false uses an existing queue unchanged.")
    method: Literal["POST", "DELETE"] = Field(default="POST", description="The HTTP method.")
    entity: Text = Field(description="Any POST or DELETE of the API.", examples=["Tickets", "Asset/{id}"])
    request: Request = Field(default=Request(), description="Path and query parameters; those of the message override them.")
    when: ConditionText | None = Field(
        default=None, description="The worker sends only messages for which this is true; it acks the others and counts them as skipped."
    )
    transform: Transform = Field(
        default=None,
        description="Makes `path`, `query` and `payload` of the message: a mapping with expressions, or one JSONata text; default: the members of the message.",
    )
    missing: Missing = "fail"
    required: RequiredNames = Field(default=[])
    find: FindDefinition | None = Field(default=None, description="Look before create.")
    in_doubt: Literal["park", "repeat"] = Field(default="park", description="The action for a create of unknown result that cannot be looked up.")
    retry: Retry = Field(default=[10.0, 60.0, 600.0, 3600.0])
    concurrency: Concurrency | None = Field(
        default=None, description="Maximum messages in flight; default: 4, and 1 for new tickets, which Halo does not accept in parallel."
    )
    once: ExpressionText | None = Field(
        default=None,
        description="Idempotency key: of messages with the same value the worker sends one in about a day, and counts the others as skipped.",
        examples=["{{ $headers.`order-id` }}"],
    )
    order_by: ExpressionText | None = Field(
        default=None,
        description="Ordering key: the worker applies messages with the same value one after the other, also across retries and replicas.",
        examples=["{{ serial }}"],
    )
    fair_by: ExpressionText | None = Field(
        default=None,
        description="Names the customer of a message: customers take turns, whatever number of messages each has. Messages without a value share one turn.",
        examples=["{{ customer }}"],
    )
    result: Result | None = Field(default=None, description="Publish what became of each message, as JSON, when it has ended.")
    reply_to: list[ReplyPattern] = Field(
        default=[*REPLIES],
        description="The queues that a sender's `reply_to` may name, besides direct reply-to; `*` is any text. [] allows no queue.",
        examples=[["replies.*"]],
    )
    allow_unknown: Unknown = False
    examples: Examples = Field(default=[], description="Inputs and their expected results; `halo-worker test` runs them offline.")


def compile_publisher(definition: PublisherDefinition, node: ConfigNode, references: References) -> Publisher | None:
    """Compile a publisher; None if its operation is unknown."""
    compiled = compile_members(PublisherDefinition, node) | {
        "transform": transform(node.child("transform"), definition.missing),
        "required": compile_required(node.child("required"), payload_node(node.child("transform"))),
    }
    if definition.required and definition.method == "DELETE":
        node.child("required").add_key_error("`required` is for payloads: a DELETE sends none")
    check_find(definition, node)
    catalogue = references.catalogue_of(definition.client)
    operation = find_operation(node, catalogue, definition.entity, definition.method, allow_unknown=definition.allow_unknown)
    if operation is None:
        return None
    checks = ParameterRules(catalogue, operation, definition.allow_unknown)
    request = request_parameters(node.child("request"), checks)
    check_payload(node, checks, request.path)
    return build(
        Publisher,
        definition,
        compiled,
        name=node.name,
        operation=operation,
        bind=tuple(compile_bind(bind, node.child("bind").child(index)) for index, bind in enumerate(definition.bind)),
        request=request,
        find=None if definition.method == "DELETE" else compile_find(definition.find, checks, node.child("find")),
        concurrency=definition.concurrency or default_concurrency(operation),
        may_be_empty=may_be_empty(node.child("transform")),
        result=None if definition.result is None else ResultTarget(definition.result.exchange, definition.result.routing_key, definition.result.queue),
        examples=compile_examples(definition.examples, node.child("examples")),
    )


def payload_node(transform: ConfigNode) -> ConfigNode:
    """Return the mapping that makes the payload, if the payload is one record."""
    payload = transform.child("payload")
    return payload.child(0) if isinstance(payload.value, list) and len(payload.value) == 1 else payload


def check_find(definition: PublisherDefinition, node: ConfigNode) -> None:
    """Add errors for members that contradict each other."""
    if definition.find is not None and definition.method == "DELETE":
        node.child("find").add_key_error("`find` is for POST: a DELETE can be repeated without a lookup")
    if definition.find is not None and definition.in_doubt == "repeat":
        node.child("in_doubt").add_key_error("`in_doubt: repeat` is for routes without `find`")


def check_payload(route: ConfigNode, checks: ParameterRules, supplied: Iterable[str]) -> None:
    """Check that a mapping under `transform` supplies the required members; a JSONata text and the message are known only at run time."""
    node = route.child("transform")
    path = check_transform(node, SHAPE, checks)
    if not isinstance(node.value, dict) or supplies_any_path(node):
        return
    require_path(route, checks, {*supplied, *path}, "`request.path` or `transform.path`")
    if checks.operation.body is not None and "payload" not in node:
        node.add_key_error("`transform` gives no `payload`, which a POST sends")


def may_be_empty(transform: ConfigNode) -> bool:
    """Whether an empty payload is valid: of a message, and of a transform that writes one. From an expression it is an error."""
    if not transform.exists:
        return True
    return isinstance(transform.value, dict) and transform.value.get("payload") in ({}, [{}])


def default_concurrency(operation: Operation) -> int:
    return 1 if operation.method == "POST" and operation.path == NEW_TICKETS else 4
