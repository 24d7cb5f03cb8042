"""How the worker and an evaluator process talk: frames of a length, a kind, a number and a rest, in both directions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final


class Kind(IntEnum):
    """What a frame is. To the evaluator: DEFINE (the number of an expression, its text), QUICK and FULL (the number of a question). All others are answers."""

    DEFINE = 0
    QUICK = 1  # under the limits that hold where others wait
    FULL = 2
    READY = 3
    VALUES = 4
    FAILED = 5
    SLOW = 6  # over the time of QUICK
    LATE = 7  # over the time of FULL; the rest is as that of FAILED


HEAD: Final = struct.Struct("<IBI")
COUNT: Final = struct.Struct("<H")
LENGTH: Final = struct.Struct("<I")
PROGRESS: Final = struct.Struct("<IH")
"""In the memory that both share: which question is being evaluated, and which of its expressions."""


def frame(kind: Kind, number: int, *rest: bytes) -> bytes:
    return b"".join((HEAD.pack(sum(map(len, rest)), kind, number), *rest))


class Frames:
    """Cuts what arrives into frames: kind, number and rest."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The frames that are complete with this."""
        buffer, start = self._buffer, 0
        buffer += data
        try:
            while len(buffer) - start >= HEAD.size:
                length, kind, number = HEAD.unpack_from(buffer, start)
                end = start + HEAD.size + length
                if len(buffer) < end:
                    return
                rest = bytes(buffer[start + HEAD.size : end])
                start = end
                yield kind, number, rest
        finally:
            del buffer[:start]


def parts(rest: bytes) -> Iterator[bytes]:
    """The byte strings that `joined` put together."""
    start = 0
    while start < len(rest):
        (length,) = LENGTH.unpack_from(rest, start)
        start += LENGTH.size
        yield rest[start : start + length]
        start += length


def joined(pieces: list[bytes]) -> bytes:
    return b"".join(part for piece in pieces for part in (LENGTH.pack(len(piece)), piece))
