"""Reads and writes JSON within limits of size, values and depth."""

from __future__ import annotations

import gc
import math
from typing import Any

import orjson

from worker.core import json_pieces
from worker.core.errors import Oversized, Undecodable
from worker.core.exact_numbers import PIECE, dumps, has_long_number, reread, unfinished, without_fractions
from worker.core.json_text import BOM, repaired

MAX_BYTES = 16 * 1024 * 1024  # default limit of a message
LARGEST = 128 * 1024 * 1024  # the largest message that RabbitMQ accepts; each caller sets a lower limit
MAX_VALUES = 1_000_000  # names, values and containers of one text: as Python objects they take at most 130 MB
MAX_DEPTH = 64  # orjson reads 1,024 levels but writes fewer than 300
WEIGHT_OF_BYTE = 4  # the decoder's copy, strings of four bytes a character, the text to send
WEIGHT_OF_VALUE = 100  # measured: 31 to 123
CONTAINERS = frozenset({dict, list})  # exact types, as the decoder makes them: the check runs once per value
LARGE = 64 * 1024  # bytes
MARKS = b",:[{"
"""A JSON text has one of these for each name, value and container except one."""


def decode(body: bytes, max_bytes: int = LARGEST, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> Any:
    """Parse a JSON text in UTF-8. Raises `Undecodable` or `Oversized`, whose text does not quote the body.

    Numbers stay exact (see `exact_numbers`), a byte order mark is no content, and half of a surrogate pair becomes U+FFFD.
    """
    if len(body) > max_bytes:
        raise Oversized(f"the body has {len(body):,} bytes; at most {max_bytes:,} are read")
    if len(body) > max_values and count_values(body, max_values) > max_values:  # a value has at least one byte
        raise Oversized(f"the body has more than {max_values:,} names and values; at most {max_values:,} are read")
    body = body.removeprefix(BOM)
    try:
        value = parsed(body)
    except orjson.JSONDecodeError as error:
        if (mended := repaired(body)) is not None:
            return decode(mended, LARGEST, max_depth, max_values)
        if "infinity" in error.msg:
            raise Undecodable(f"the body has a number beyond 1e308 at line {error.lineno}, column {error.colno}: send it as text") from None
        raise Undecodable(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    openings = body.count(b"[") + body.count(b"{")  # includes brackets within strings: an upper bound of the containers
    if openings > max_depth and too_deep(value, max_depth, openings):
        raise Undecodable(f"the body is nested deeper than {max_depth} levels")
    if not has_long_number(body):
        return value
    del value  # only one of the two is held
    return reread(body)


def parsed(body: bytes) -> Any:
    """The value that orjson reads. It disables garbage collection for a large text: JSON has no cycles, and each collection would walk all objects so far."""
    if len(body) < LARGE or not gc.isenabled():
        return orjson.loads(body)
    gc.disable()
    try:
        return json_pieces.loads(body)
    finally:
        gc.enable()


def count_values(body: bytes, enough: int = MAX_VALUES) -> int:
    """Return how many values a JSON text has, or a number above `enough` if it has more.

    Up to `enough` the result is an estimate that includes marks within strings. Above it the count is exact: commas in prose must not exceed the limit.
    """
    if len(body) <= enough:  # each mark is a byte
        return min(len(body), marks_in(body))
    estimate = sum(marks_in(body[start : start + PIECE]) for start in range(0, len(body), PIECE))
    return estimate if estimate <= enough else count_outside_texts(body, enough)


def marks_in(piece: bytes) -> int:
    return len(piece) - len(piece.translate(None, MARKS))


def count_outside_texts(body: bytes, enough: int) -> int:
    """Count marks outside strings and stop above `enough`. Works piece by piece: a list of all strings could take more memory than the limit allows."""
    count, inside, rest = 0, False, b""
    for start in range(0, len(body), PIECE):
        piece = rest + body[start : start + PIECE]
        rest = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""  # the escaped byte is in the next piece
        piece = (piece[:-1] if rest else piece).replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        count += marks_in(b"".join(parts[inside::2]))
        inside ^= len(parts) % 2 == 0
        if count > enough:
            break
    return count


def estimate_body_memory(body: bytes) -> int:
    """Return an upper estimate of the memory, in bytes, for parsing and processing this text. A text with too many values is never parsed."""
    return estimate_memory(len(body), count_values(body))


def estimate_memory(size: int, values: int) -> int:
    """As `estimate_body_memory`, for a text with this number of bytes and values."""
    return WEIGHT_OF_BYTE * size + (WEIGHT_OF_VALUE * values if values <= MAX_VALUES else 0)


def too_deep(value: Any, limit: int = MAX_DEPTH, most: float = math.inf) -> bool:
    """Return whether arrays and objects are nested deeper than `limit`. `most`: an upper bound of their number, which can end the search early."""
    level = [value] if type(value) in CONTAINERS else []
    for depth in range(1, limit + 1):
        most -= len(level)  # how many may be below this level
        if not level or depth + most <= limit:
            return False
        level = [child for item in level for child in (item.values() if type(item) is dict else item) if type(child) in CONTAINERS]
    return bool(level)


def encode(value: Any) -> bytes:
    """Write JSON; a float without a fraction is written as an integer. Raises `Undecodable` for a value that JSON cannot represent."""
    try:
        return dumps(value)
    except TypeError as error:
        raise Undecodable(f"the value cannot be written as JSON: {error}") from None


def encode_draft(value: Any) -> bytes:
    """Write JSON as `encode`, but leave floats without a fraction (see `may_have_fractions`) to `finish_draft`. Raises `Undecodable`."""
    try:
        return unfinished(value)
    except TypeError as error:
        raise Undecodable(f"the value cannot be written as JSON: {error}") from None


def finish_draft(text: bytes) -> bytes:
    """The text of `encode_draft` with integers in place of floats without a fraction. Raises `Undecodable`."""
    try:
        return without_fractions(text)
    except TypeError as error:
        raise Undecodable(f"the value cannot be written as JSON: {error}") from None
