"""Builds the request of an operation from path variables, query values and a payload; it refuses values that Halo would misread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.catalogue.errors import RequestError, WrongType
from worker.catalogue.operation import Body, Operation
from worker.catalogue.parameter_types import misfit, normalized
from worker.catalogue.published import PARAMETER
from worker.catalogue.values import path_segment, query_text
from worker.core.exchange import Request
from worker.core.suggest import did_you_mean

NOTHING: Mapping[str, Any] = {}
KINDS = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", int: "a number", float: "a number", type(None): "nothing"}


def kind(value: Any) -> str:
    return KINDS.get(type(value), f"a {type(value).__name__}")


def build_request(
    operation: Operation, path: Mapping[str, Any] = NOTHING, query: Mapping[str, Any] = NOTHING, payload: Any = None, timeout: float | None = None
) -> Request:
    """Build the request. Raises `RequestError`, whose text holds names and types but no values."""
    body = build_body(operation, payload)
    return Request(operation.method, build_path(operation, path), build_query(operation, query), body, operation.body is Body.MULTIPART, timeout)


def build_path(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the path with each variable as one encoded segment; names compare without case."""
    given: dict[str, Any] = {}
    for name, value in values.items():
        published = next((valid for valid in operation.path_parameters if valid.lower() == name.lower()), None)
        if published is None:
            raise RequestError(f"{place(operation)} has no path parameter {name!r}{choices(name, operation)}")
        if published in given:
            raise RequestError(f"{place(operation)}: path parameter {published!r} is given twice")
        given[published] = value
    missing = [name for name in operation.path_parameters if given.get(name) is None]
    if missing:
        raise RequestError(f"{place(operation)} needs the path parameter{'s' * (len(missing) > 1)} {', '.join(missing)}")
    try:
        return PARAMETER.sub(lambda match: path_segment(match[1], given[match[1]]), operation.path)
    except RequestError as error:
        raise RequestError(f"{place(operation)}: {error}") from None


def build_query(operation: Operation, values: Mapping[str, Any]) -> dict[str, str]:
    """Return published names and text values; a null leaves its parameter out."""
    built: dict[str, str] = {}
    for name, value in values.items():
        published = operation.canonical_query(name)
        declared = operation.query_parameters.get(published, "any")
        if wrong := misfit(declared, value):
            raise WrongType(f"{place(operation)}: query parameter {published!r} {wrong}")
        try:
            text = query_text(published, normalized(declared, value))
        except RequestError as error:
            raise RequestError(f"{place(operation)}: {error}") from None
        if text is None:
            continue
        if published in built:
            raise RequestError(f"{place(operation)}: query parameter {published!r} is given twice")
        built[published] = text
    return built


def build_body(operation: Operation, payload: Any) -> Any:
    """Return the body, as JSON or as the fields of a form, with arrays where Halo publishes them. Without a published shape the payload stays unchanged."""
    if operation.method != "POST":
        if payload is not None:
            raise RequestError(f"{place(operation)} takes no payload, but {kind(payload)} is given")
        return None
    payload = operation.schemas.wrap(operation.schema, payload)
    if operation.body is Body.ARRAY:
        return array_of(operation, payload)
    if operation.body in {Body.OBJECT, Body.MULTIPART}:
        return one_of(operation, payload)
    return payload


def array_of(operation: Operation, payload: Any) -> list[Any]:
    if isinstance(payload, dict):
        return [payload]
    if not isinstance(payload, list):
        raise RequestError(f"{place(operation)} needs an object or an array as payload, not {kind(payload)}")
    if not payload:
        raise RequestError(f"{place(operation)}: the payload is an empty array, so there is nothing to send")
    return payload


def one_of(operation: Operation, payload: Any) -> dict[str, Any]:
    if isinstance(payload, dict):
        return payload
    if isinstance(payload, list) and len(payload) == 1 and isinstance(payload[0], dict):
        return payload[0]
    what = f"an array of {len(payload)}" if isinstance(payload, list) else kind(payload)
    raise RequestError(f"{place(operation)} takes one object as payload, not {what}")


def place(operation: Operation) -> str:
    return f"{operation.method} {operation.entity}"


def choices(name: str, operation: Operation) -> str:
    if not operation.path_parameters:
        return "; it has none"
    return did_you_mean(name, operation.path_parameters) or f"; it has {', '.join(operation.path_parameters)}"
