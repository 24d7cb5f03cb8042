"""Lenient reading of message properties that other systems wrote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import pamqp.decode
from pamqp.common import FieldTable, FieldValue, Struct

from worker.broker.amqp_types import SHORT_MAX
from worker.core.message import UNREADABLE_HEADERS

UNREADABLE = UNREADABLE_HEADERS
MOST_VALUES = 2000
FEW_BYTES = 2 * MOST_VALUES  # a value takes two bytes at least, with its name or in a list
TOO_MANY = f"more than {MOST_VALUES:,} values"
MOST_DEPTH = 100  # more than copies hold, and fewer than what looks at a value within Python's limit of recursion, or writes it as JSON
TOO_DEEP = f"values nested more than {MOST_DEPTH} levels deep"
SIZED, NESTED = frozenset({b"S", b"x", b"A", b"F"}), frozenset({b"A", b"F"})
WIDTHS = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0, b"\x00": 0}


class TooDeep(ValueError):
    """A value lies deeper than is read."""


class Nesting:
    """Reads arrays and tables within a header table. Deeper ones would be read up to Python's limit of recursion, and what looks at them later reaches that sooner."""

    def __init__(self) -> None:
        self._depth = 0

    def read(self, decoder: Callable[[bytes], tuple[int, FieldValue]], value: bytes) -> tuple[int, FieldValue]:
        """Raises `TooDeep`."""
        if self._depth == MOST_DEPTH:
            raise TooDeep
        self._depth += 1
        try:
            return decoder(value)
        finally:
            self._depth -= 1


def read_leniently() -> None:
    """Replace pamqp's decoders of what some senders write; calling it again changes nothing.

    pamqp raises on a timestamp in microseconds, on a property or name that is not UTF-8 and on a table with an unknown type. The exception ends the whole
    connection, and the message comes back on the next one: a single such message would stop all consuming for ever. RabbitMQ itself lets them through.
    """
    pamqp.decode.METHODS["timestamp"] = timestamp
    pamqp.decode.METHODS["shortstr"] = short_text
    pamqp.decode.METHODS["table"] = table
    pamqp.decode.TABLE_MAPPING[b"T"] = timestamp
    nesting = Nesting()
    pamqp.decode.TABLE_MAPPING[b"A"] = partial(nesting.read, pamqp.decode.field_array)
    pamqp.decode.TABLE_MAPPING[b"F"] = partial(nesting.read, named_values)


def timestamp(value: bytes) -> tuple[int, FieldValue]:
    """A moment, or None when no calendar holds it."""
    return reading(pamqp.decode.timestamp, value, (8, None))


def short_text(value: bytes) -> tuple[int, str]:
    """Text of at most 255 bytes in UTF-8; what is not UTF-8 is replaced."""
    end = Struct.byte.unpack(value[:1])[0] + 1
    text = value[1:end].decode(errors="replace")
    # a replacement takes three bytes where one stood, and the text must fit again when the message is published further
    return end, text.encode()[:SHORT_MAX].decode(errors="ignore")


def table(value: bytes) -> tuple[int, FieldValue]:
    """A header table, or a single marking header when it cannot be read."""
    end = Struct.integer.unpack(value[:4])[0] + 4
    marked: FieldTable = {UNREADABLE: True}
    if end > FEW_BYTES and has_too_many(value[:end]):
        return end, {UNREADABLE: TOO_MANY}
    try:
        return reading(named_values, value, (end, marked))
    except TooDeep:
        return end, {UNREADABLE: TOO_DEEP}


def named_values(value: bytes) -> tuple[int, FieldValue]:
    """As pamqp reads a table, with names that are not UTF-8 too: for one such name it would give up all headers. Raises `ValueError`."""
    at, end = 4, int.from_bytes(value[:4]) + 4
    found: FieldTable = {}
    while at < end <= len(value):
        name_end = at + 1 + value[at]
        if name_end > end:
            break
        consumed, found[value[at + 1 : name_end].decode(errors="replace")] = pamqp.decode.embedded_value(value[name_end:])
        at = name_end + consumed
    if at != end:
        raise ValueError("a name or a value is cut")
    return end, found


def has_too_many(table: bytes) -> bool:
    """Whether a header table has more values than are read; a table that breaks off or has an unknown type has not, and is reported elsewhere.

    pamqp copies the rest of the table for each value: reading one of 118,000 takes half a second.
    """
    count, at = 0, 4
    inside = [(len(table), True)]
    try:
        while inside:
            end, named = inside[-1]
            if at >= end:
                inside.pop()
                continue
            at += 1 + table[at] if named else 0
            kind, at, count = table[at : at + 1], at + 1, count + 1
            if count > MOST_VALUES:
                return True
            if kind in SIZED:
                size = Struct.integer.unpack_from(table, at)[0]
                at += 4
                if kind in NESTED:
                    inside.append((at + size, kind == b"F"))
                else:
                    at += size
            else:
                at += WIDTHS[kind]
    except (KeyError, IndexError, struct.error):
        return False
    return False


def reading(decoder: Callable[[bytes], tuple[int, FieldValue]], value: bytes, otherwise: tuple[int, FieldValue]) -> tuple[int, FieldValue]:
    try:
        return decoder(value)
    except TooDeep:
        raise
    except (ValueError, OverflowError, OSError, RecursionError, ArithmeticError):
        return otherwise
