"""JSON in and out, with the limits that hold at every door."""

from __future__ import annotations

from typing import Any

import orjson

from worker.core.errors import Undecodable

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64  # orjson reads 1024 levels but writes fewer than 300
CONTAINERS = frozenset({dict, list})  # exact types, as the decoder makes them: this is looked up once per value of every page


def decode(body: bytes, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text. Raises `Undecodable`, whose text tells what is wrong without quoting the body."""
    if len(body) > max_bytes:
        raise Undecodable(f"the body has {len(body):,} bytes; at most {max_bytes:,} are read")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if too_deep(value, max_depth):
        raise Undecodable(f"the body is nested deeper than {max_depth} levels")
    return value


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects are nested deeper than `limit`."""
    level = [value] if type(value) in CONTAINERS else []
    for _ in range(limit):
        level = [child for item in level for child in (item.values() if type(item) is dict else item) if type(child) in CONTAINERS]
        if not level:
            return False
    return bool(level)


def encode(value: Any) -> bytes:
    """JSON text. Raises `Undecodable` for a value that JSON cannot hold."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise Undecodable(f"the value cannot be written as JSON: {error}") from None
