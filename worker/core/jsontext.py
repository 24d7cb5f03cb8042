"""JSON in and out, with the limits that hold at every door."""

from __future__ import annotations

import math
from typing import Any

import orjson

from worker.core.errors import Oversized, Undecodable

MAX_BYTES = 16 * 1024 * 1024  # of a message, unless a setting says otherwise
LARGEST = 128 * 1024 * 1024  # RabbitMQ carries no larger message; each door has a limit of its own below it
MAX_VALUES = 1_000_000  # names, values and containers of one text: with every one an object of Python they take at most 130 MB
MAX_DEPTH = 64  # orjson reads 1024 levels but writes fewer than 300
WEIGHT_OF_BYTE = 4  # the decoder's copy, texts that take four bytes a character, the text that is sent
WEIGHT_OF_VALUE = 100  # between 31 and 123 were measured
CONTAINERS = frozenset({dict, list})  # exact types, as the decoder makes them: this is looked up once per value of every page


MARKS = b",:[{"
"""One of these stands in a JSON text for each name, value and container, but for one."""
PIECE = 256 * 1024  # bytes that are looked at in one go, so that looking takes no memory worth counting


def decode(body: bytes, max_bytes: int = LARGEST, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> Any:
    """The value of a JSON text. Raises `Undecodable`, whose text tells what is wrong without quoting the body."""
    if len(body) > max_bytes:
        raise Oversized(f"the body has {len(body):,} bytes; at most {max_bytes:,} are read")
    if len(body) > max_values and count_values(body, max_values) > max_values:  # each value takes a byte at least
        raise Oversized(f"the body has more than {max_values:,} names and values; at most {max_values:,} are read")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Undecodable(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    openings = body.count(b"[") + body.count(b"{")  # those within texts as well: never fewer than there are containers
    if openings > max_depth and too_deep(value, max_depth, openings):
        raise Undecodable(f"the body is nested deeper than {max_depth} levels")
    return value


def count_values(body: bytes, enough: int = MAX_VALUES) -> int:
    """How many objects a JSON text makes, or a number above `enough` when it makes more.

    An estimate (marks within texts count as well) where that is not above `enough`; otherwise exact, since a text of prose must not be refused for its commas.
    """
    if len(body) <= enough:  # each mark is a byte
        return min(len(body), marks_in(body))
    estimate = sum(marks_in(body[start : start + PIECE]) for start in range(0, len(body), PIECE))
    return estimate if estimate <= enough else count_outside_texts(body, enough)


def marks_in(piece: bytes) -> int:
    return len(piece) - len(piece.translate(None, MARKS))


def count_outside_texts(body: bytes, enough: int) -> int:
    """Marks that are not within texts; it stops above `enough`. Piece by piece: a list of all texts could take more memory than what it is to guard against."""
    count, inside, rest = 0, False, b""
    for start in range(0, len(body), PIECE):
        piece = rest + body[start : start + PIECE]
        rest = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""  # what it escapes is in the next piece
        piece = (piece[:-1] if rest else piece).replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        count += marks_in(b"".join(parts[inside::2]))
        inside ^= len(parts) % 2 == 0
        if count > enough:
            break
    return count


def weight_of(body: bytes) -> int:
    """Bytes of memory, generously, that it takes to read this text and to work on it. What has too many values is not read."""
    values = count_values(body)
    return WEIGHT_OF_BYTE * len(body) + (WEIGHT_OF_VALUE * values if values <= MAX_VALUES else 0)


def too_deep(value: Any, limit: int = MAX_DEPTH, most: float = math.inf) -> bool:
    """Whether arrays and objects are nested deeper than `limit`. `most`: it holds no more of them than that, which spares looking at the innermost."""
    level = [value] if type(value) in CONTAINERS else []
    for depth in range(1, limit + 1):
        most -= len(level)  # those that may still be below this level
        if not level or depth + most <= limit:
            return False
        level = [child for item in level for child in (item.values() if type(item) is dict else item) if type(child) in CONTAINERS]
    return bool(level)


def encode(value: Any) -> bytes:
    """JSON text. Raises `Undecodable` for a value that JSON cannot hold."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise Undecodable(f"the value cannot be written as JSON: {error}") from None
