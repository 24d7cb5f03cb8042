"""The write that a message asks for: its shape, and whether a second write would show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any, Self

from worker.catalogue.operation import Operation
from worker.config.routes import Publisher
from worker.core.errors import ExpressionError, Undecodable
from worker.core.ports import Evaluator
from worker.flows.requests import evaluated_request

SHAPE = frozenset({"path", "query", "payload"})
APPENDING = "_add_rows"  # a custom table's row has no id of its own: an update that appends


@dataclass(frozen=True, slots=True)
class Write:
    """One write: path and query parameters, and the payload (an object or an array of objects; None for a DELETE)."""

    path: dict[str, Any]
    query: dict[str, Any]
    payload: Any

    @property
    def creates(self) -> int:
        """The number of records that it creates (or rows that it appends): such a write must not be done twice."""
        records = self.payload if isinstance(self.payload, list) else [self.payload]
        return sum(1 for record in records if isinstance(record, dict) and (not names_record(record) or APPENDING in record))

    @property
    def single(self) -> dict[str, Any] | None:
        """The record, if there is exactly one."""
        records = self.payload if isinstance(self.payload, list) else [self.payload]
        return records[0] if len(records) == 1 and isinstance(records[0], dict) else None

    def updating(self, record_id: Any) -> Self:
        """Return the write with the same content over an existing record."""
        return replace(self, payload={**(self.single or {}), "id": record_id})


def names_record(record: dict[str, Any]) -> bool:
    """Whether the record has an id: without one, or with 0, Halo creates a record."""
    return record.get("id") not in (None, 0, "0", "")


async def write_of(route: Publisher, document: Any, context: Any, bindings: dict[str, Any], evaluator: Evaluator) -> Write:
    """Return the write that a message (after `transform`) asks for; the route's own parameters are the defaults. Raises `Undecodable`, `ExpressionError`."""
    if not isinstance(document, dict):
        raise Undecodable(f"the message must be an object with path, query and payload, not {kind(document)}")
    if unknown := list(islice((name for name in document if name not in SHAPE), 5)):  # a message may have half a million names
        raise Undecodable(
            f"the message must be an object with path, query and payload; it also has {', '.join(sorted(unknown))}: a `transform` gives it that shape"
        )
    defaults = await evaluated_request(route.request, context, bindings, evaluator)
    parameters = {}
    for part in ("path", "query"):
        given = document.get(part)
        if given is not None and not isinstance(given, dict):
            raise Undecodable(f"{part} must be an object, not {kind(given)}")
        parameters[part] = defaults[part] | (given or {})
    payload = payload_of(route.operation, document.get("payload"))
    if not route.may_be_empty and {} in (payload if isinstance(payload, list) else [payload]):
        raise ExpressionError("`transform` yields a record without any member: nothing in this message is where its expressions look")
    if lacking := [name for name in route.request.path if parameters["path"].get(name) is None]:
        raise ExpressionError(f"`request.path.{lacking[0]}` yields nothing, and the message has no `path.{lacking[0]}`")
    if route.required.members:
        route.required.check(payload, "payload.")
    return Write(parameters["path"], parameters["query"], payload)


def payload_of(operation: Operation, payload: Any) -> Any:
    if operation.method == "DELETE":
        return None
    records = payload if isinstance(payload, list) else [payload]
    if not records or not all(isinstance(record, dict) for record in records):
        raise Undecodable(f"payload must be an object or an array of objects, not {kind(payload)}")
    return payload


def kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number", type(None): "nothing"}
    if isinstance(value, list):
        return "an empty array" if not value else "an array with other things than objects"
    return "a number" if isinstance(value, Decimal) else names.get(type(value), "something else")
