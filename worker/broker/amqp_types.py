"""What an AMQP message can carry besides its body: header tables, short texts and lifetimes, the same on every broker."""

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
MAX_HEADERS = 120_000  # bytes; they travel in one frame, whose usual maximum is 131,072: the broker closes the connection over a larger one
MAX_DEPTH = 32
MAX_SCALE = 255  # digits after the point of an AMQP decimal
EARLIEST, LATEST = 1971, 9998  # years: a moment on the wire is whole seconds since 1970, and time zones must not lead out of the calendar
INT32 = 2**31
INT64 = 2**63
ROUTING = frozenset({"CC", "BCC"})  # RabbitMQ routes by them, under our rights: nothing that the worker publishes goes anywhere else
BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "x-stream-offset", "x-opt-")


def short(name: str, text: str) -> str:
    """The text as AMQP's short strings hold it. Raises `Unpublishable` when it is too long for them."""
    clean = to_text(text)
    if (size := len(clean.encode())) > SHORT_MAX:
        raise Unpublishable(f"the {name} has {size} bytes; AMQP takes at most {SHORT_MAX}")
    return clean


def short_properties(message: Message) -> dict[str, str | None]:
    """The short texts of a message, by their names there. Raises `Unpublishable`."""
    names = ("message_id", "correlation_id", "reply_to", "content_type", "content_encoding", "type", "app_id")
    texts = {name: getattr(message, name) for name in names}
    texts["message_id"] = texts["message_id"] or new_id()
    return {name: None if text is None else short(name.replace("_", " "), text) for name, text in texts.items()}


def to_moment(moment: datetime | None) -> datetime | None:
    """A timestamp as it arrives: whole seconds in UTC, or None for what the wire cannot hold."""
    held: datetime | None = from_field(moment) if moment is not None and EARLIEST <= moment.year <= LATEST else None
    return held


def to_text(text: str) -> str:
    """Text that has a form in UTF-8: half of a surrogate pair has none."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def to_milliseconds(seconds: float) -> int:
    """A lifetime as RabbitMQ takes it: never negative, at most 49 days."""
    return round(min(max(seconds * 1000, 0), MAX_EXPIRATION))


def to_table(headers: Mapping[str, Any], room: int = MAX_HEADERS) -> dict[str, Any]:
    """Headers as an AMQP table holds them, without those that belong to the broker or by which it routes.

    Raises `HeadersTooLarge` when they have more than `room` bytes. A copy that still says where its original died would be dropped by RabbitMQ's check for cycles when it expires on its way back.
    """
    table = {to_name(name): to_field(value) for name, value in headers.items() if not str(name).startswith(BROKERS_OWN) and name not in ROUTING}
    if table and (size := len(field_table(table))) > room:
        raise HeadersTooLarge(f"the headers have {size:,} bytes; at most {room:,} can be published")
    return table


def to_name(name: object) -> str:
    return to_text(str(name)).encode()[:NAME_MAX].decode(errors="ignore")


def to_field(value: Any, depth: int = 0) -> Any:
    """A value that an AMQP table can hold; what has no AMQP type becomes text."""
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
    """The float where single precision holds it, else a decimal, else text.

    pamqp writes floats in single precision only, and RabbitMQ closes the connection over one that is not finite.
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
    """Plain Python: None, bool, int, float, str, bytes, datetime (UTC), list or dict."""
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
