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
MAX_VALUES = 2000
FEW_BYTES = 2 * MAX_VALUES  # a value takes two bytes at least, with its name or in a list
TOO_MANY = f"more than {MAX_VALUES:,} values"
MAX_DEPTH = 100  # more than copies hold, and few enough to walk through a value, or write it as JSON, within Python's recursion limit
TOO_DEEP = f"values nested more than {MAX_DEPTH} levels deep"
SIZED, NESTED = frozenset({b"S", b"x", b"A", b"F"}), frozenset({b"A", b"F"})
WIDTHS = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"l": 8, b"L": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0, b"\x00": 0}


class TooDeep(ValueError):
    """A value is nested deeper than `MAX_DEPTH`."""


class Nesting:
    """Reads the arrays and tables inside a header table, down to `MAX_DEPTH`. pamqp reads down to Python's recursion limit; later code reaches it sooner."""

    def __init__(self) -> None:
        self._depth = 0

    def read(self, decoder: Callable[[bytes], tuple[int, FieldValue]], value: bytes) -> tuple[int, FieldValue]:
        """Raises `TooDeep`."""
        if self._depth == MAX_DEPTH:
            raise TooDeep
        self._depth += 1
        try:
            return decoder(value)
        finally:
            self._depth -= 1


def read_leniently() -> None:
    """Replace pamqp's decoders that fail on values which some senders write. A second call changes nothing.

    pamqp raises on a timestamp in microseconds, on a property or name that is not UTF-8 and on a table with an unknown type. The exception ends the whole
    connection, and the broker delivers the message again on the next one: one such message would stop all consuming for ever. RabbitMQ accepts these messages.
    """
    pamqp.decode.METHODS["timestamp"] = timestamp
    pamqp.decode.METHODS["shortstr"] = short_text
    pamqp.decode.METHODS["table"] = table
    pamqp.decode.TABLE_MAPPING[b"T"] = timestamp
    nesting = Nesting()
    pamqp.decode.TABLE_MAPPING[b"A"] = partial(nesting.read, pamqp.decode.field_array)
    pamqp.decode.TABLE_MAPPING[b"F"] = partial(nesting.read, named_values)


def timestamp(value: bytes) -> tuple[int, FieldValue]:
    """The timestamp; None when it lies outside Python's calendar."""
    return lenient(pamqp.decode.timestamp, value, (8, None))


def short_text(value: bytes) -> tuple[int, str]:
    """Text of at most 255 bytes in UTF-8; other bytes are replaced."""
    end = Struct.byte.unpack(value[:1])[0] + 1
    text = value[1:end].decode(errors="replace")
    # a replacement character takes three bytes in place of one, and the text must still fit when the worker publishes the message again
    return end, text.encode()[:SHORT_MAX].decode(errors="ignore")


def table(value: bytes) -> tuple[int, FieldValue]:
    """The header table, or only the header `UNREADABLE` when it cannot be read."""
    end = Struct.integer.unpack(value[:4])[0] + 4
    marked: FieldTable = {UNREADABLE: True}
    if end > FEW_BYTES and has_too_many(value[:end]):
        return end, {UNREADABLE: TOO_MANY}
    try:
        return lenient(named_values, value, (end, marked))
    except TooDeep:
        return end, {UNREADABLE: TOO_DEEP}


def named_values(value: bytes) -> tuple[int, FieldValue]:
    """Read a table as pamqp does, but accept names that are not UTF-8: pamqp gives up all headers for one such name. Raises `ValueError`."""
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
    """Whether a header table has more than `MAX_VALUES` values. False for a table that is cut or has an unknown type: `table` reports that.

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
            if count > MAX_VALUES:
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


def lenient(decoder: Callable[[bytes], tuple[int, FieldValue]], value: bytes, otherwise: tuple[int, FieldValue]) -> tuple[int, FieldValue]:
    try:
        return decoder(value)
    except TooDeep:
        raise
    except (ValueError, OverflowError, OSError, RecursionError, ArithmeticError):
        return otherwise
