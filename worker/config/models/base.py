"""What all models of route files share: strictness, and the types of single values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from worker.core.durations import PATTERN, format_duration, parse_duration

LONGEST = 30 * 86400.0
EXCHANGE = r"[^\x00-\x1f]{1,255}"


class Definition(BaseModel):
    """Unknown members are refused, and nothing is turned silently from one type into another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def mistake(sentence: str) -> PydanticCustomError:
    """A mistake told in our own words."""
    return PydanticCustomError("mistake", "{sentence}", {"sentence": sentence})


def seconds(value: Any) -> float:
    """The seconds of a written duration."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise mistake(f"needs a unit: write `{value}s`, `{value}m` or `{value}h`")
    if not isinstance(value, str):
        raise mistake("must be a duration such as 30s, 5m, 2h or 1d")
    if not PATTERN.fullmatch(value.strip()):
        raise mistake("is not a duration: write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 1d")
    parsed = parse_duration(value)
    if parsed > LONGEST:
        raise mistake(f"is longer than {format_duration(LONGEST)}")
    return parsed


def positive_seconds(value: Any) -> float:
    parsed = seconds(value)
    if parsed <= 0:
        raise mistake("must be longer than nothing")
    return parsed


DURATION = r"^(\d+(ms|s|m|h|d)|\$\{.+\})$"
DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["30s", "5m", "2h", "1d"]})
Duration = Annotated[float, BeforeValidator(positive_seconds), DURATION_SCHEMA]
DurationOrNothing = Annotated[float, BeforeValidator(seconds), DURATION_SCHEMA]
Text = Annotated[str, StringConstraints(min_length=1)]


def short_name(value: Any) -> Any:
    """A name of the broker: not empty, at most 255 bytes, no control characters, and not the broker's own."""
    if not isinstance(value, str) or not re.fullmatch(EXCHANGE, value) or len(value.encode()) > 255:  # noqa: PLR2004  AMQP's short string
        raise mistake("must be text of 1 to 255 bytes")
    if value.startswith("amq."):
        raise mistake("begins with `amq.`, which the broker keeps to itself")
    return value


BrokerName = Annotated[str, BeforeValidator(short_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
Scalar = str | int | float | bool | None


def parameter(value: Any) -> Any:
    """One request parameter."""
    if isinstance(value, (dict, list)):
        raise mistake('must be text, a number, true or false (several values are one text with commas: "1,2")')
    return value


Parameter = Annotated[Scalar, BeforeValidator(parameter), WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]
Parameters = dict[str, Parameter]
Expression = Annotated[str, Field(min_length=1, examples=["{{ status_id != 9 }}"])]
Document = Annotated[Any, WithJsonSchema({"type": ["object", "array", "string"]})]


class Request(Definition):
    """What goes into the address of a request."""

    path: Parameters = Field(default={}, description="Values for the {parameters} of the path; text or numbers, with expressions.")
    query: Parameters = Field(default={}, description="Query parameters; null leaves one out.")
