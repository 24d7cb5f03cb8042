"""The page of the settings: every `WORKER_*` variable with its default, its valid values and its meaning."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from docs.generator.markdown import code, codes, page, sentence, table
from worker.core.durations import format_duration
from worker.settings import PREFIX, TOKEN_FILE, UNITS, URL_FILE, Settings, host_names, seconds, size, token_text, variables

INTRO = """Set these as environment variables of `halo-worker run`. The worker checks all of them before it starts.
An unknown or invalid `WORKER_*` variable ends it with exit code 2, and each mistake has a line of its own.
An empty variable counts as not set."""
NOTES = """## Notations

| kind | write |
| --- | --- |
| duration | `500ms`, `25s`, `5m`, `1h`, or a number of seconds |
| size | `64KiB`, `16MiB`, `1GiB`, or a number of bytes |
| networks | addresses and networks, separated by commas: `10.0.0.5, 10.244.0.0/16, fd00::/8` |
| host names | names without scheme and port, separated by commas: `worker.example.com, ops` |

Special characters of the broker's user name and password are percent-encoded: `%40` for `@`, `%2F` for `/`.
The worker refuses an address in which they are not. Several addresses are the nodes of one cluster, with commas
between them: [A cluster of RabbitMQ](../operations/cluster.md) has the rules. A comma inside an address is `%2C`.
`amqps://` addresses take `?cafile=`, and `&certfile=` and
`&keyfile=` where the broker asks for a certificate."""


def settings_page() -> str:
    rows = [
        (code(PREFIX + name.upper()), default_of(name, field), valid(field), sentence(field.description or "")) for name, field in Settings.model_fields.items()
    ]
    rows += [(code(name), "", "path", sentence(variables()[name])) for name in (URL_FILE, TOKEN_FILE)]
    return page("Settings", INTRO, table(("variable", "default", "valid", "meaning"), rows), NOTES)


def default_of(name: str, field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "host name" if name == "instance" else ""
    value = field.default
    if value is None or value == ():
        return ""
    return code(value.get_secret_value() if isinstance(value, SecretStr) else written(field, value))


def written(field: FieldInfo, value: Any) -> str:
    """A value in the notation in which people write it."""
    if parses(field, seconds):
        return format_duration(float(value))
    if parses(field, size):
        unit = next(name for name in ("GiB", "MiB", "KiB") if value % UNITS[name.lower()] == 0)
        return f"{value // UNITS[unit.lower()]}{unit}"
    return str(value)


def parses(field: FieldInfo, parser: Any) -> bool:
    return any(isinstance(part, BeforeValidator) and part.func is parser for part in field.metadata)


def valid(field: FieldInfo) -> str:
    choices = literals(field.annotation)
    if choices:
        return codes(choices)
    bounds = "".join(bound(field, part) for part in field.metadata)
    return f"{kind(field)}{bounds}"


def kind(field: FieldInfo) -> str:
    if parses(field, seconds):
        return "duration"
    if parses(field, size):
        return "size"
    if parses(field, host_names):
        return "host names"
    if parses(field, token_text):
        return "secret text"
    names = {"int": "whole number", "float": "number", "Path": "path", "SecretStr": "address", "str": "text", "bool": "`true` or `false`"}
    if field.annotation == SecretStr | None:
        return "address"
    return names.get(getattr(field.annotation, "__name__", ""), "networks")


def bound(field: FieldInfo, part: Any) -> str:
    match part:
        case Gt(gt):
            return f", more than {gt}"
        case Ge(ge):
            return f", from {code(written(field, ge))}"
        case Le(le):
            return f", to {code(written(field, le))}"
        case _:
            return ""


def literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(member.value for member in annotation)
    return next((found for part in get_args(annotation) if (found := literals(part))), ())
