"""Lenient reading of message properties that other systems wrote."""

from __future__ import annotations

from collections.abc import Callable

import pamqp.decode
from pamqp.common import FieldTable, FieldValue, Struct

from worker.broker.tables import SHORT_MAX

UNREADABLE = "x-unreadable-headers"


def read_leniently() -> None:
    """Replace three of pamqp's decoders; calling it again changes nothing.

    pamqp raises on a timestamp in microseconds, on a property that is not UTF-8 and on a table with an unknown type. The exception ends the whole
    connection, and the message comes back on the next one: a single such message would stop all consuming for ever. RabbitMQ itself lets them through.
    """
    pamqp.decode.METHODS["timestamp"] = timestamp
    pamqp.decode.METHODS["shortstr"] = short_text
    pamqp.decode.METHODS["table"] = table
    pamqp.decode.TABLE_MAPPING[b"T"] = timestamp


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
    marked: FieldTable = {UNREADABLE: True}
    return reading(pamqp.decode.field_table, value, (Struct.integer.unpack(value[:4])[0] + 4, marked))


def reading(decoder: Callable[[bytes], tuple[int, FieldValue]], value: bytes, otherwise: tuple[int, FieldValue]) -> tuple[int, FieldValue]:
    try:
        return decoder(value)
    except (ValueError, OverflowError, OSError, RecursionError, ArithmeticError):
        return otherwise
