"""Repairs JSON texts that a strict reader refuses because they hold half of a surrogate pair, as an escape or as bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

BOM: Final = codecs.BOM_UTF8
PIECE: Final = 64 * 1024  # bytes to mend at once: the interpreter changes threads between two pieces
BACKSLASH: Final = b"\\\\"  # escaped
STAND_IN: Final = b"\0"  # for an escaped backslash, whose second half begins no escape: no JSON text holds this byte
HIGH, LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
HIGH_AT_THE_END: Final = re.compile(HIGH + rb"\Z")
LONE: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH, LOW, HIGH, LOW))
"""The escape of one half of a pair without the other half beside it."""
ESCAPE_LENGTH: Final = 6
HIGH_BYTES, LOW_BYTES = rb"\xed[\xa0-\xaf][\x80-\xbf]", rb"\xed[\xb0-\xbf][\x80-\xbf]"
LONE_BYTES: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (HIGH_BYTES, LOW_BYTES, HIGH_BYTES, LOW_BYTES))
HALF: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
BETWEEN_CHARACTERS: Final = re.compile(rb"[\x00-\x7f\xc0-\xec\xee-\xff]|\xed[\x80-\xaf]|(?<!%b)\xed" % HIGH_BYTES)
"""The start of a character that is not the second half of a pair."""
REPLACEMENT: Final = rb"\\ufffd"  # as a template: the escape of U+FFFD
LOST: Final = "\ufffd".encode()


def repaired(text: bytes) -> bytes | None:
    """The text with U+FFFD in place of each half of a surrogate pair; None where it holds none."""
    if STAND_IN in text:
        return None
    single = b"".join(piece.replace(BACKSLASH, STAND_IN) for piece in between_backslashes(text))
    mended = b"".join(LONE.sub(REPLACEMENT, piece).replace(STAND_IN, BACKSLASH) for piece in between_escapes(single))
    if HALF.search(mended):
        try:
            mended = b"".join(map(joined_halves, between_characters(mended)))
        except UnicodeDecodeError:
            return None
    return mended if mended != text else None


def between_backslashes(text: bytes) -> Iterator[bytes]:
    """Pieces of the text, never cut inside an escaped backslash."""
    start = 0
    while start < len(text):
        piece = text[start : start + PIECE]
        end = start + (len(piece) - cut_escape(piece) or len(piece))
        yield text[start:end]
        start = end


def cut_escape(piece: bytes) -> int:
    """How many bytes at the end of a piece are the beginning of an escape: one or none."""
    return (len(piece) - len(piece.rstrip(b"\\"))) % 2


def between_escapes(text: bytes) -> Iterator[bytes]:
    """Pieces of the text, never cut inside an escape or a pair of escapes."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            begun = text.rfind(b"\\", end - ESCAPE_LENGTH, end)
            end = begun if begun > 0 else end
            if HIGH_AT_THE_END.search(text, end - ESCAPE_LENGTH, end):
                end -= ESCAPE_LENGTH
        yield text[start:end]
        start = end


def between_characters(text: bytes) -> Iterator[bytes]:
    """Pieces of the text, never cut inside a character or between the two halves of a pair."""
    start = 0
    while start < len(text):
        found = BETWEEN_CHARACTERS.search(text, start + PIECE)
        end = found.start() if found else len(text)
        yield text[start:end]
        start = end


def joined_halves(text: bytes) -> bytes:
    """The text with each pair of halves as one character, and U+FFFD for a single half. Raises `UnicodeDecodeError`."""
    text = LONE_BYTES.sub(LOST, text)
    return text if HALF.search(text) is None else text.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()
