"""The types of single values of route files: their syntax, and how their texts are compiled."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints, WithJsonSchema

from worker.config.definition import Compiled, Definition, mistake
from worker.config.mappings import MissingRule
from worker.config.node_values import compile_variable_path, condition, expression, response_variables, text_template, transform
from worker.core.durations import PATTERN, format_duration, parse_duration
from worker.core.header_names import HEADER
from worker.core.topology import STANDARD_EXCHANGES

MAX_DURATION = 30 * 86400.0
MAX_CALL_TIMEOUT = 600.0
BROKER_NAME = re.compile(r"[^\x00-\x1f]{1,255}")


def seconds(value: Any) -> float:
    """The seconds of a written duration."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise mistake(f"needs a unit: write `{value}s`, `{value}m` or `{value}h`")
    if not isinstance(value, str):
        raise mistake("must be a duration such as 30s, 5m, 2h or 1d")
    if not PATTERN.fullmatch(value.strip()):
        raise mistake("is not a duration: write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 1d")
    parsed = parse_duration(value)
    if parsed > MAX_DURATION:
        raise mistake(f"is longer than {format_duration(MAX_DURATION)}")
    return parsed


def positive_seconds(value: Any) -> float:
    parsed = seconds(value)
    if parsed <= 0:
        raise mistake("must be longer than 0s")
    return parsed


def call_seconds(value: Any) -> float:
    """Return the seconds of a call. The message stays in flight during the call, and the broker limits that time."""
    parsed = positive_seconds(value)
    if parsed > MAX_CALL_TIMEOUT:
        raise mistake("is longer than 10m, the longest that a call may take")
    return parsed


def broker_name(value: Any) -> Any:
    """The name of a queue or exchange: AMQP's short string, and not one of the broker's own names."""
    if not isinstance(value, str) or not BROKER_NAME.fullmatch(value) or len(value.encode()) > 255:  # noqa: PLR2004  AMQP's short string
        raise mistake("must be text of 1 to 255 bytes")
    if value.startswith("amq."):
        raise mistake("begins with `amq.`, which the broker reserves")
    return value


def reply_pattern(value: Any) -> Any:
    """Return a pattern of queues for results: it begins with its own literal text, so that it cannot match a queue of the worker or of the broker."""
    broker_name(value)
    if value.startswith(("*", "halo.")):
        raise mistake("must begin with text that only reply queues have, such as `replies.*`: not with `*` or `halo.`")
    if any(name.startswith(value.partition("*")[0]) for name in ("halo.", "amq.")) and "*" in value:
        raise mistake("also fits queues of the worker or of the broker: write a longer text before the `*`, such as `replies.*`")
    return value


def client_names(value: Any) -> Any:
    """The name of a client, or of several."""
    if not isinstance(value, list):
        if not isinstance(value, str):
            raise mistake("must be text; put it in quotes")
        if not value:
            raise mistake("must not be empty")
        return value
    if not value or not all(isinstance(name, str) and name for name in value):
        raise mistake("must be the name of a client, or a list of names")
    if len(set(value)) < len(value):
        raise mistake("names a client twice")
    return tuple(value)


def exchange_name(value: Any) -> Any:
    """Return the name of an exchange; the broker's exchanges that every virtual host has are allowed too."""
    return value if value in STANDARD_EXCHANGES else broker_name(value)


def parameter(value: Any) -> Any:
    """One request parameter."""
    if isinstance(value, (dict, list)):
        raise mistake('must be text, a number, true or false (several values are one text with commas: "1,2")')
    return value


def unknown(value: Any) -> Any:
    """Return what `allow_unknown` allows."""
    if isinstance(value, bool) or (isinstance(value, list) and all(isinstance(name, str) and name for name in value)):
        return value
    raise mistake("must be true, false, or a list of the names of query parameters and members")


def header_name(value: str) -> str:
    if not HEADER.fullmatch(value):
        raise mistake("cannot be the name of a header")
    return value


DURATION = r"^(\d+(ms|s|m|h|d)|\$\{.+\})$"
DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["30s", "5m", "2h", "1d"]})
Duration = Annotated[float, BeforeValidator(positive_seconds), DURATION_SCHEMA]
DurationOrNothing = Annotated[float, BeforeValidator(seconds), DURATION_SCHEMA]
CallTimeout = Annotated[float, BeforeValidator(call_seconds), WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["30s", "5m"]})]
Retry = Annotated[list[Duration], Field(max_length=20, description="The delays between attempts; [] for none.")]
Concurrency = Annotated[int, Field(ge=1, le=1000)]

Text = Annotated[str, StringConstraints(min_length=1)]
BrokerName = Annotated[str, BeforeValidator(broker_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
ReplyPattern = Annotated[str, BeforeValidator(reply_pattern), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
ExchangeName = Annotated[str, BeforeValidator(exchange_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
ClientNames = Annotated[
    str | tuple[str, ...],
    PlainValidator(client_names),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}]}),
]
HeaderName = Annotated[str, AfterValidator(header_name)]

Unknown = Annotated[
    bool | list[Text],
    BeforeValidator(unknown),
    Field(description="Query parameters and members that the route may use although the known API does not have them; true: any entity, parameter and member."),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]}),
]

Scalar = str | int | float | bool | None
Parameter = Annotated[Scalar, BeforeValidator(parameter), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
Parameters = Annotated[dict[str, Parameter], Compiled()]
"""Their names are checked against an operation, so the compiler of the kind compiles them."""

ConditionText = Annotated[str, Field(min_length=1, examples=["{{ status_id != 9 }}"]), Compiled(condition, jsonata="all")]
ExpressionText = Annotated[str, Field(min_length=1, examples=["{{ status_id != 9 }}"]), Compiled(expression, jsonata="without braces")]
TemplateText = Annotated[Text, Compiled(text_template)]
TRANSFORM_SCHEMA = WithJsonSchema({"type": ["object", "array", "string"]})
InputTransform = Annotated[Any, TRANSFORM_SCHEMA, Compiled(transform, jsonata="all")]
Transform = Annotated[Any, TRANSFORM_SCHEMA, Compiled(jsonata="all")]
"""The compiler of the kind compiles it, because it needs `missing` too."""
Body = Annotated[Any, WithJsonSchema({"type": ["object", "array", "string", "number", "boolean"]}), Compiled()]
"""The compiler of the kind compiles it, for the same reason as `Transform`."""
VariableText = Annotated[Text, Compiled(compile_variable_path, jsonata="none")]
Outputs = Annotated[dict[str, Text], Compiled(response_variables, jsonata="none")]


def missing_rule(value: Any) -> Any:
    """Return the rule: `missing: null` without quotes is YAML's null."""
    return "null" if value is None else value


Missing = Annotated[
    MissingRule,
    BeforeValidator(missing_rule),
    Field(
        description="What an expression that yields nothing does to its member: the message fails (`fail`), the member is left out (`omit`) or it is null (`null`)."
        " A `?` at the end of a member's name (`notes?`) leaves out that one member.",
        examples=["omit"],
        json_schema_extra={"enum": [*get_args(MissingRule), None], "type": ["string", "null"]},
    ),
]
RequiredNames = Annotated[
    list[Text],
    Field(
        description="Members that must be there and not be empty, also where one expression makes the document; dots lead into nested ones.",
        examples=[["client_id"]],
    ),
]


class Request(Definition):
    """The parameters of a request's address."""

    path: Parameters = Field(default={}, description="Values for the {parameters} of the path; text or numbers, with expressions.")
    query: Parameters = Field(default={}, description="Query parameters; null leaves one out.")
