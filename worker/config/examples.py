"""Examples of a route: an input, and what is expected of it. `halo-worker test` runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.config.compiled import Example
from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, mistake
from worker.config.value_types import Text
from worker.core.answers import CannedAnswer
from worker.core.outcome import DeadClass
from worker.core.suggest import choices

REQUEST_LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/\S*)")
CONFLICTS = (
    ("request", "requests"),
    ("skipped", "dead"),
    ("skipped", "event"),
    ("skipped", "request"),
    ("skipped", "requests"),
    ("dead", "event"),
    ("event", "events"),
    ("skipped", "events"),
    ("dead", "request"),
)
ONLY = {
    "request": ("publishers", "runbooks"),
    "requests": ("publishers", "runbooks"),
    "event": ("subscribers", "webhooks"),
    "events": ("runbooks",),
    "runbook": ("webhooks",),
    "wake": ("webhooks",),
}
"""Results that only these kinds of routes have."""
BY_KIND = {"publishers": "request", "subscribers": "event", "runbooks": "requests", "webhooks": "event"}


LiteralObject = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]


def one_or_more(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class AnswerDefinition(Definition):
    """The response to one request."""

    status: Annotated[int, Field(ge=100, le=599)] = Field(default=200, description="The HTTP status.")
    body: Any = Field(default=None, description="The body; default: empty.")
    headers: dict[str, str] = Field(default={}, description="Headers, for output variables and `pages`.")


def one_or_more_schema(schema: dict[str, Any]) -> None:
    """Allow a single value instead of a list in the JSON Schema."""
    several = dict(schema)
    schema.clear()
    schema["anyOf"] = [several["items"], several]


AnswerList = Annotated[list[AnswerDefinition], BeforeValidator(one_or_more), Field(min_length=1, json_schema_extra=one_or_more_schema)]


class ExpectedRequest(Definition):
    """A request. The test compares the members that are written, each as a whole."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = Field(default=None, description="The HTTP method.")
    path: str | None = Field(default=None, description="The path below the API's address.", examples=["/Asset"])
    query: LiteralObject | None = Field(default=None, description="All query parameters, as text.")
    body: Any = Field(default=None, description="The body; for most of Halo's endpoints an array of objects.")


class ExpectedEvent(Definition):
    """A message for RabbitMQ. The test compares the members that are written, each as a whole; of `headers` only those that are named."""

    exchange: str | None = Field(default=None, description="The exchange.")
    routing_key: str | None = Field(default=None, description="The routing key.")
    headers: LiteralObject | None = Field(default=None, description="Some of its headers.")
    body: Any = Field(default=None, description="The body.")


def is_true(value: Any) -> Any:
    if value is not True:
        raise mistake("must be true; leave it out otherwise")
    return value


Skipped = Annotated[bool, BeforeValidator(is_true), WithJsonSchema({"const": True})]


class ExpectDefinition(Definition):
    """The expected result."""

    request: ExpectedRequest | None = Field(default=None, description="The one request that changes something; lookups are not counted.")
    requests: list[ExpectedRequest] | None = Field(default=None, description="All requests in their order, with lookups; [] for none.")
    event: ExpectedEvent | None = Field(default=None, description="The published event.")
    events: list[ExpectedEvent] | None = Field(default=None, description="All messages that the steps of a run publish, in their order; [] for none.")
    runbook: Text | None = Field(default=None, description="The runbook that a webhook's delivery starts.")
    wake: LiteralObject | None = Field(
        default=None, description="The subscriber that a delivery wakes, and the id of the record.", examples=[{"subscriber": "tickets", "id": 7}]
    )
    skipped: Skipped | None = Field(default=None, description="The route leaves the input out.")
    dead: Literal[tuple(each.value for each in DeadClass)] | None = Field(default=None, description="The class of the dead letter.")  # type: ignore[valid-type]  # one list of the classes
    reason: Text | None = Field(default=None, description="A part of the reason, with `dead` or `skipped`.")


class ExampleDefinition(Definition):
    """An input with its expected result."""

    name: Text | None = Field(default=None, description="What it shows; default: its number.")
    given: Any = Field(default=None, description="The message, record, delivery or starting payload.")
    headers: LiteralObject = Field(default={}, description="Headers of the message.")
    change: Literal["created", "updated", "deleted", "backfilled"] = Field(default="created", description="The kind of change of a subscriber's record.")
    ids: dict[str, list[dict[str, Any]]] = Field(
        default={}, description="Records that a lookup finds, by entity.", examples=[{"Site": [{"id": 7, "name": "Berlin", "client_id": 12}]}]
    )
    answers: dict[str, AnswerList] = Field(
        default={},
        description="Answers to requests, by method of an integration or by request line; a list is given in turn.",
        examples=[{"openai.completions": {"body": {}}, "GET /Asset": {"body": []}}],
    )
    expect: ExpectDefinition = Field(description="The result that the test compares with.")


Examples = Annotated[list[ExampleDefinition], Compiled(jsonata="nowhere")]
"""Data: `${NAME}` and `{{ }}` have no meaning in it."""


def compile_examples(definitions: Sequence[ExampleDefinition], node: ConfigNode, methods: Sequence[str] = ()) -> tuple[Example, ...]:
    """Compile the examples. `methods`: the integration methods that the route calls. Adds an error for an expectation that is empty or impossible."""
    for child in node.children.values() if isinstance(node.value, list) else ():
        check_expected(child)
        check_given(child, methods)
    return tuple(compile_example(definition, number, node.child(number)) for number, definition in enumerate(definitions))


def compile_example(definition: ExampleDefinition, number: int, node: ConfigNode) -> Example:
    return Example(
        definition.name or f"example {number + 1}",
        definition.given,
        definition.expect.model_dump(exclude_unset=True),
        node.file.name,
        node.place.line,
        definition.headers,
        definition.change,
        {path_of(entity): records for entity, records in definition.ids.items()},
        {
            key: [CannedAnswer(answer.status, answer.body, {name.lower(): text for name, text in answer.headers.items()}) for answer in given]
            for key, given in definition.answers.items()
        },
    )


def path_of(entity: str) -> str:
    """Return the path of Halo's list of an entity; the name itself if Halo has no such list."""
    try:
        return load().find(entity, "GET").path
    except (UnknownEntity, MethodNotAllowed):
        return entity


def check_given(node: ConfigNode, methods: Sequence[str]) -> None:
    """Check that an example has an input, and answers only possible requests."""
    if "given" not in node and isinstance(node.value, dict):
        node.add_key_error("`given` is missing")
    if node.kind != "subscribers" and "change" in node:
        node.child("change").add_key_error("`change` is for subscribers")
    for member in node.child("ids").members.values():
        if not load().methods_of(member.name):
            member.add_key_error(load().advice_on(member.name))
    for key, member in node.child("answers").members.items():
        if not REQUEST_LINE.fullmatch(key) and key not in methods:
            near = choices(key, methods, none="the route calls no method")
            member.add_key_error(f"`{key}` answers nothing: write a request line such as `GET /Asset`, or a method that the route calls{near}")


def expected_members(expect: ConfigNode) -> Iterator[ConfigNode]:
    """Yield the members of the expectation, of its requests and of its event."""
    for member in expect.members.values():
        yield member
        for each in (member, *member.children.values()) if isinstance(member.value, list) else (member,):
            yield from each.members.values() if member.name in {"request", "requests", "event", "events"} else ()


def check_expected(node: ConfigNode) -> None:
    """Check that the route can do what an example expects, and that the expectations do not exclude each other."""
    expect = node.child("expect")
    if isinstance(expect.value, dict) and not expect.members.keys() - {"reason"}:
        expect.add_key_error(f"`expect` is empty: write `{BY_KIND[node.kind]}`, `skipped: true` or `dead`")
    for member in expected_members(expect):
        if member.value is None and member.name != "body":
            member.add_key_error(f"`{member.name}` has no value: write one, or leave it out")
    for one, other in CONFLICTS:
        if one in expect and other in expect:
            expect.child(other).add_key_error(f"`{one}` and `{other}` exclude each other: write one of them")
    if "reason" in expect and not {"dead", "skipped"} & expect.members.keys():
        expect.child("reason").add_key_error("`reason` is for `dead` and `skipped`")
    for name, kinds in ONLY.items():
        if name in expect and node.kind not in kinds:
            expect.child(name).add_key_error(f"`{name}` is for {' and '.join(kinds)}")
