"""Builds messages from changes: CloudEvents in binary mode, attributes as AMQP headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.changes.cells import moment
from worker.changes.detect import Change, dedupe_key
from worker.changes.records import identity, updated_at
from worker.config.routes import Subscriber
from worker.core.delivery_state import Death
from worker.core.entropy import new_id
from worker.core.errors import ExpressionError
from worker.core.header_fields import DEATH, write_fields
from worker.core.json_codec import encode
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.ports import Evaluator
from worker.core.route_names import defined_name

TYPE_PREFIX = "com.haloitsm"
PARENT = "$parent"
"""The member of a dead letter or of an example that holds the parent of the record, under `for_each`."""
UNREAD_CHILDREN = "unread-children"
"""The header of a dead letter that holds a parent whose children could not be read."""


@dataclass(frozen=True, slots=True)
class Event:
    """A message with its exchange and routing key."""

    message: Message
    exchange: str
    routing_key: str


def bindings_of(route: Subscriber, change: Change) -> dict[str, Any]:
    """Return the variables of a subscriber's expressions besides the record."""
    bindings = {"route": route.name, "client": route.client, "change": change.kind}
    return bindings if change.parent is None else bindings | {"parent": change.parent}


def with_parent(record: Mapping[str, Any], parent: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the record with its parent as a member, for messages and files that hold both."""
    return dict(record) if parent is None else {**record, PARENT: parent}


def split_parent(record: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Return the record and its parent: the inverse of `with_parent`."""
    parent = record.get(PARENT)
    return {name: value for name, value in record.items() if name != PARENT}, parent if isinstance(parent, dict) else None


async def passes_when(route: Subscriber, change: Change, evaluator: Evaluator) -> bool:
    """Return whether the route's `when` accepts the change. Deletions always pass: they have no content to filter by. Raises `ExpressionError`."""
    return route.when is None or change.kind == "deleted" or await route.when.holds(change.record, bindings_of(route, change), evaluator)


async def event_of(route: Subscriber, change: Change, source: str, now: datetime, position: str, evaluator: Evaluator) -> Event:
    """Build the event. `position` makes the dedupe keys of `changes: all` differ between polls. Raises `ExpressionError`, `Undecodable`."""
    bindings = bindings_of(route, change)
    body = change.record if route.transform is None else await route.transform.evaluate(change.record, bindings, evaluator)
    if change.kind != "deleted":  # of which only the key is known
        route.required.check(body)
    resource = route.operation.resource
    routing_key = f"{resource}.{change.kind}" if route.routing_key is None else await route.routing_key.evaluate(change.record, bindings, evaluator)
    if not isinstance(routing_key, str) or len(routing_key.encode()) > 255:  # noqa: PLR2004 - AMQP's short string
        raise ExpressionError("publish.routing_key must yield a text of at most 255 bytes")
    previous = position if route.changes == "all" else change.previous
    entity = route.operation.entity if route.report is None else f"{route.operation.entity}/{defined_name(route.name)}"  # rows of two reports may be alike
    key = dedupe_key(route.client, entity, change.key, previous, change.digest)
    headers = {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": key,
        "cloudEvents_source": source,
        "cloudEvents_type": f"{TYPE_PREFIX}.{resource}.{change.kind}",
        "cloudEvents_subject": change.key,
        "cloudEvents_time": (stamp_of(route, change) or now).astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "dedupe-key": key,
    }
    if change.kind == "backfilled":
        headers["cloudEvents_backfill"] = str(change.previous).rpartition("/")[2]
    message = Message(encode(body), headers, message_id=new_id(), correlation_id=new_id(), timestamp=now)
    return Event(message, route.exchange, routing_key)


def stamp_of(route: Subscriber, change: Change) -> datetime | None:
    """Return when Halo changed the record, None where it does not say."""
    column = route.report.cursor if route.report is not None else None
    return updated_at(change.record) if column is None else moment(change.record.get(column))


def deletion(route: Subscriber, key: str, previous: str) -> Change:
    """Build the change for a deleted record, which has only its identity."""
    return Change("deleted", key, identity(key, route.key), previous, None)


def parked_headers(reason: str, dead_class: DeadClass, route: str, at: datetime, status: int | None = None) -> Mapping[str, Any]:
    """Return the headers of a record that could not become an event."""
    return write_fields(DEATH, Death(dead_class.value, reason, status, 1, route, at))


def unrouted_headers(exchange: str, routing_key: str, route: str, headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the headers of an unroutable event: its own, its exchange and its routing key."""
    return dict(headers) | {"original-exchange": exchange, "original-routing-key": routing_key, "dead-route": route}
