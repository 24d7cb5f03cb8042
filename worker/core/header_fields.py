"""The headers that the worker writes on messages: their names, types and ranges. Senders may set none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAC = "halo-mac"
SENDER = "halo-sender-headers"
OURS = ("halo-", "dead-", "original-")
OURS_WHOLE = frozenset({"replays"})
ROUTING = frozenset({"cc", "bcc"})
"""RabbitMQ also routes a message to the queues in these headers, with the rights of its publisher."""
DEATHS = ("x-death", "x-first-death-", "x-last-death-")
"""The broker's history of dead-lettering. On a copy it would make the broker drop the message as a cycle."""
COUNTS = ("x-delivery-count", "x-acquired-count", "x-stream-offset", "x-opt-")
"""The broker writes these again at each delivery."""
MAX_COUNT = 2**63 - 1  # the largest whole number of AMQP: sequences are nanoseconds
MAX_NAME = 512  # characters of an exchange, a routing key or an id: AMQP allows 255 bytes of each
MAX_REASON = 2000
EARLIEST, LATEST = 1970, 9998  # years of a moment


def count(value: Any) -> int | None:
    """A whole number from 0 to the largest of AMQP."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def flag(value: Any) -> bool | None:
    return value if type(value) is bool else None


def name(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_NAME else None


def text(value: Any) -> str | None:
    """A text, cut at 2,000 characters: a longer one would take the room of the other headers."""
    return value[:MAX_REASON] if isinstance(value, str) else None


def moment(value: Any) -> datetime | None:
    """An ISO time; without a zone it is UTC. None for any other value and for years outside 1970 to 9998, which may leave the calendar as seconds."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(found, datetime) or not EARLIEST <= found.year <= LATEST:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def milliseconds(value: Any) -> float | None:
    found = count(value)
    return None if found is None else found / 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One header. `read` gives None for a value of another type or out of range; `write` turns a value into one that AMQP carries.

    `absent`: the value that needs no header.
    """

    header: str
    attribute: str
    read: Callable[[Any], Any]
    absent: Any = None
    write: Callable[[Any], Any] = lambda value: value


def clean(value: str) -> str:
    """The text as a reader gets it back from the broker."""
    return value.encode(errors="replace").decode()[:MAX_REASON]


STATE = (
    Field("original-exchange", "exchange", name, write=clean),
    Field("original-routing-key", "routing_key", name, write=clean),
    Field("halo-attempts", "attempts", count, 0),
    Field("halo-doubtful", "doubtful", flag, absent=False),
    Field("halo-redelivered", "redelivered", flag, absent=False),
    Field("replays", "replays", count, 0),
    Field("halo-replay", "replay", name, "", clean),
    Field("halo-edited", "edited", name, "", clean),
    Field("halo-tries", "tries", count, 0),
    Field("halo-waited", "waited", flag, absent=False),
    Field("halo-once", "holder", count),
    Field("halo-origin", "origin", name, "", clean),
    Field("halo-retry-reason", "reason", text, "", clean),
)
ORDER = (
    Field("halo-order", "sequence", count),
    Field("halo-order-since", "since", count, 0),
    Field("halo-order-due", "due", milliseconds, 0.0, lambda seconds: round(seconds * 1000)),
    Field("halo-order-starts", "starts", count, 0),
)
DEATH = (
    Field("dead-class", "dead_class", text, write=clean),
    Field("dead-reason", "reason", text, write=clean),
    Field("dead-status", "status", count),
    Field("dead-attempts", "attempts", count),
    Field("dead-route", "route", text, "", clean),
    Field("dead-at", "at", moment, write=datetime.isoformat),
    Field("dead-left-out", "left_out", text, "", clean),
)
KNOWN = frozenset(each.header for each in STATE + ORDER + DEATH)


def is_ours(header: str) -> bool:
    """Whether the worker writes this header: a sender's own value then needs another place."""
    return header.startswith(OURS) or header in OURS_WHOLE


def is_reserved(header: str) -> bool:
    """Whether the worker must not publish a sender's value under this name."""
    return is_ours(header) or header.casefold() in ROUTING or header.startswith(DEATHS)


def read_fields(fields: Sequence[Field], headers: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that these headers hold."""
    found = {each.attribute: each.read(headers[each.header]) for each in fields if each.header in headers}
    return {attribute: value for attribute, value in found.items() if value is not None}


def write_fields(fields: Sequence[Field], source: Any) -> dict[str, Any]:
    """The headers that hold an object's attributes."""
    values = ((each, getattr(source, each.attribute)) for each in fields)
    return {each.header: each.write(value) for each, value in values if value != each.absent}
