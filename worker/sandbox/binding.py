"""Binds a JSON body to Halo's types, with the conversions and the error messages of Halo's JSON library (Newtonsoft)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any

import orjson

from worker.core.exact_numbers import dumps, loads
from worker.core.json_codec import too_deep
from worker.sandbox.dates import parse_moment

Errors = dict[str, list[str]]
INT32, INT64 = 2**31, 2**63
INTEGER = re.compile(r"\s*[+-]?\d+\s*")
SPACE = re.compile(r"[ \t\r\n]*")
DECODER = JSONDecoder()
MAX_BODY_DEPTH = 64


class BindingError(Exception):
    """The body has values of wrong types. `errors`: the body of Halo's answer, with messages by the path of each invalid member."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(f"{len(errors)} members are invalid")
        self.errors = errors


class ConversionError(Exception):
    """One value has a wrong type. The text is the beginning of the message."""


def bind_body(body: bytes, types: Mapping[str, str], *, array: bool, accepts_object: bool) -> list[dict[str, Any]]:
    """The bound records of a POST body; one record if `array` is False. Raises `BindingError`."""
    try:
        value = loads(body)
    except orjson.JSONDecodeError as error:
        first = body[:1].decode(errors="replace")
        place = f"line {error.lineno}, position {max(error.colno - 1, 0)}"
        raise BindingError({"": [f"Unexpected character encountered while parsing value: {first}. Path '', {place}."]}) from None
    if too_deep(value, MAX_BODY_DEPTH):
        raise BindingError({"": [f"The reader's MaxDepth of {MAX_BODY_DEPTH} has been exceeded. Path '', line 1, position 0."]})
    text = body.decode()
    if not array or (accepts_object and isinstance(value, dict)):
        if not isinstance(value, dict):
            raise BindingError({"": [_wrong_shape("array", "object")]})
        return [_bind([(value, "")], types, text)[0]]
    if not isinstance(value, list):
        raise BindingError({"": [_wrong_shape("object", "array")]})
    wrong = {
        f"[{index}]": [f"Error converting value to an object. Path '[{index}]', line 1."] for index, item in enumerate(value) if not isinstance(item, dict)
    }
    if wrong:
        raise BindingError(wrong)
    return _bind([(item, f"[{index}]") for index, item in enumerate(value)], types, text)


def _bind(items: list[tuple[dict[str, Any], str]], types: Mapping[str, str], text: str) -> list[dict[str, Any]]:
    """Checks all records before it raises. Drops unknown members, except those that begin with an underscore: not all of these are published."""
    by_lower: dict[str, str] = {}
    bound: list[dict[str, Any]] = []
    errors: Errors = {}
    for item, place in items:
        record: dict[str, Any] = {}
        for written, value in item.items():
            if written not in types and not by_lower:
                by_lower = {name.lower(): name for name in types}
            name = written if written in types else by_lower.get(written.lower(), written)
            if types and name not in types and not name.startswith("_"):
                continue
            try:
                record[name] = CONVERSIONS.get(types.get(name, "any"), _any)(value)
            except ConversionError as misfit:
                path = f"{place}.{written}" if place else written
                errors[path] = [f"{misfit} Path '{path}', {_position(text, place, written)}."]
        bound.append(record)
    if errors:
        raise BindingError(errors)
    return bound


def _any(value: Any) -> Any:
    return value


def _integer(value: Any, limit: int = INT32) -> Any:
    match value:
        case None | "":
            return None
        case bool() | list() | dict():
            raise ConversionError(f"Unexpected character encountered while parsing value: {_first(value)}.")
        case float() | Decimal():
            raise ConversionError(f"Input string '{value}' is not a valid integer.")
        case str() if not INTEGER.fullmatch(value):
            raise ConversionError(f"Could not convert string to integer: {value}.")
        case _:
            number = int(value)
    if not -limit <= number < limit:
        raise ConversionError(f"JSON integer {number} is too large or small for an Int32.")
    return number


def _long(value: Any) -> Any:
    return _integer(value, INT64)


def _number(value: Any) -> Any:
    match value:
        case None | "":
            return None
        case bool() | list() | dict():
            raise ConversionError(f"Unexpected character encountered while parsing value: {_first(value)}.")
        case str():
            try:
                return float(value)
            except ValueError:
                raise ConversionError(f"Could not convert string to double: {value}.") from None
        case _:
            return value


def _boolean(value: Any) -> Any:
    match value:
        case None | "":
            return None
        case bool() | int() | float():
            return bool(value)
        case str() if value.lower() in {"true", "false"}:
            return value.lower() == "true"
        case str():
            raise ConversionError(f"Could not convert string to boolean: {value}.")
        case _:
            raise ConversionError(f"Unexpected character encountered while parsing value: {_first(value)}.")


def _text(value: Any) -> Any:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case list() | dict():
            raise ConversionError(f"Unexpected character encountered while parsing value: {_first(value)}.")
        case _:
            return value


def _moment(value: Any) -> Any:
    match value:
        case None | "":
            return None
        case str():
            moment = parse_moment(value)
            if moment is None:
                raise ConversionError(f"Could not convert string to DateTime: {value}.")
            return moment
        case _:
            raise ConversionError(f"Error reading date. Unexpected token: {type(value).__name__.capitalize()}.")


def _array(value: Any) -> Any:
    if value is not None and not isinstance(value, list):
        raise ConversionError(_wrong_shape("object" if isinstance(value, dict) else "value", "array"))
    return value


def _object(value: Any) -> Any:
    if isinstance(value, list):
        raise ConversionError(_wrong_shape("array", "object"))
    return value


CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "int64": _long,
    "number": _number,
    "boolean": _boolean,
    "string": _text,
    "uuid": _text,
    "date-time": _moment,
    "array": _array,
    "object": _object,
}


def _first(value: Any) -> str:
    return dumps(value)[:1].decode()


def _wrong_shape(got: str, wanted: str) -> str:
    sample = {"array": "[1,2,3]", "object": '{"name":"value"}', "value": "1"}
    return (
        f"Cannot deserialize the current JSON {got} (e.g. {sample[got]}) into the expected type because the type requires a JSON {wanted} "
        f"(e.g. {sample[wanted]}) to deserialize correctly."
    )


def _position(text: str, place: str, member: str) -> str:
    """The place where a member's value ends, as Newtonsoft counts: lines from 1, positions from the beginning of the line."""
    try:
        end = _end_of(text, int(place[1:-1]) if place else None, member)
    except (JSONDecodeError, StopIteration, IndexError, ValueError):
        return "line 1, position 0"
    before = text[:end]
    return f"line {before.count(chr(10)) + 1}, position {end - (before.rfind(chr(10)) + 1)}"


def _end_of(text: str, index: int | None, member: str) -> int:
    at = _skip(text, 0)
    if index is not None:
        at = _skip(text, at + 1)
        for _ in range(index):
            _, at = DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
    at = _skip(text, at + 1)
    while True:
        name, at = DECODER.raw_decode(text, at)
        _, at = DECODER.raw_decode(text, _skip(text, _skip(text, at) + 1))
        if name == member:
            return at
        at = _skip(text, _skip(text, at) + 1)


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return at if match is None else match.end()
