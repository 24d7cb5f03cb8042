"""The values that an AMQP message can carry besides its body: header tables, short texts and lifetimes, the same on every broker."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pamqp.encode import field_table

from worker.core.entropy import new_id
from worker.core.errors import HeadersTooLarge, Unpublishable
from worker.core.message import Message

SHORT_MAX = 255  # bytes of a routing key, an id or a content type
NAME_MAX = 128  # bytes of a header's name
MAX_EXPIRATION = 2**32 - 1  # milliseconds; RabbitMQ refuses more
MAX_HEADERS = 120_000  # bytes; all headers travel in one frame, usually of at most 131,072 bytes: the broker closes the connection for a larger one
MAX_DEPTH = 32
MAX_SCALE = 255  # digits after the point of an AMQP decimal
EARLIEST, LATEST = 1971, 9998  # years: AMQP sends a timestamp as whole seconds since 1970, and a time zone must not move it out of the calendar
INT32 = 2**31
INT64 = 2**63
ROUTING = frozenset({"CC", "BCC"})  # RabbitMQ also routes by these headers, with our rights: the worker's messages must go nowhere else
BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "x-stream-offset", "x-opt-")


def short(name: str, text: str) -> str:
    """The text as an AMQP short string. Raises `Unpublishable` when it is too long."""
    clean = to_text(text)
    if (size := len(clean.encode())) > SHORT_MAX:
        raise Unpublishable(f"the {name} has {size} bytes; AMQP takes at most {SHORT_MAX}")
    return clean


def short_properties(message: Message) -> dict[str, str | None]:
    """The short texts of a message, by their attribute names. Raises `Unpublishable`."""
    names = ("message_id", "correlation_id", "reply_to", "content_type", "content_encoding", "type", "app_id")
    texts = {name: getattr(message, name) for name in names}
    texts["message_id"] = texts["message_id"] or new_id()
    return {name: None if text is None else short(name.replace("_", " "), text) for name, text in texts.items()}


def to_moment(moment: datetime | None) -> datetime | None:
    """A timestamp as the receiver gets it: whole seconds in UTC, or None for a moment that AMQP cannot carry."""
    held: datetime | None = from_field(moment) if moment is not None and EARLIEST <= moment.year <= LATEST else None
    return held


def to_text(text: str) -> str:
    """The text with a replacement for characters that UTF-8 cannot encode, such as half of a surrogate pair."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def to_milliseconds(seconds: float) -> int:
    """A lifetime as RabbitMQ takes it: never negative, at most 49 days."""
    return round(min(max(seconds * 1000, 0), MAX_EXPIRATION))


def to_table(headers: Mapping[str, Any], max_bytes: int = MAX_HEADERS) -> dict[str, Any]:
    """Headers as an AMQP table, without the broker's own headers and those by which it routes.

    Raises `HeadersTooLarge` when they have more than `max_bytes` bytes. RabbitMQ's check for cycles would drop a copy with the death headers of its original when
    the copy expires on its way back.
    """
    table = {to_name(name): to_field(value) for name, value in headers.items() if not str(name).startswith(BROKERS_OWN) and name not in ROUTING}
    if table and (size := len(field_table(table))) > max_bytes:
        raise HeadersTooLarge(f"the headers have {size:,} bytes; at most {max_bytes:,} can be published")
    return table


def to_name(name: object) -> str:
    return to_text(str(name)).encode()[:NAME_MAX].decode(errors="ignore")


def to_field(value: Any, depth: int = 0) -> Any:
    """The value as an AMQP table can hold it; a value without an AMQP type becomes text."""
    held: Any
    match value:
        case None | bool():
            held = value
        case str():
            held = to_text(value)
        case int() if -INT64 <= value < INT64:
            held = value
        case float():
            held = to_number(value)
        case datetime() if EARLIEST <= value.year <= LATEST:
            held = value
        case bytes() | bytearray() | memoryview():
            held = bytearray(value)
        case Mapping() if depth < MAX_DEPTH:
            held = {to_name(name): to_field(item, depth + 1) for name, item in value.items()}
        case list() | tuple() if depth < MAX_DEPTH:
            held = [to_field(item, depth + 1) for item in value]
        case _:
            held = to_text(str(value))
    return held


def to_number(value: float) -> Any:
    """The float if single precision holds it, else a decimal, else text.

    pamqp writes floats in single precision only, and RabbitMQ closes the connection for a float that is not finite.
    """
    if not math.isfinite(value):
        return repr(value)
    try:
        if struct.unpack(">f", struct.pack(">f", value))[0] == value:
            return value
    except OverflowError:
        return repr(value)
    exact = Decimal(repr(value))
    _, digits, exponent = exact.as_tuple()
    small = isinstance(exponent, int) and -MAX_SCALE <= exponent <= 0 and int("".join(map(str, digits))) < INT32
    return exact if small else repr(value)


def from_field(value: Any) -> Any:
    """The value as plain Python: None, bool, int, float, str, bytes, datetime (UTC), list or dict."""
    match value:
        case Decimal():
            return float(value)
        case bytearray():
            return bytes(value)
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
        case dict():
            return {name: from_field(item) for name, item in value.items()}
        case list():
            return [from_field(item) for item in value]
        case _:
            return value
