"""The protocol between the worker and an evaluator process: frames of a length, a kind, a number and a rest, in both directions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final


class FrameKind(IntEnum):
    """The kind of a frame. To the evaluator: DEFINE (the number of an expression, its text), QUICK and FULL (the number of a question). All others are answers."""

    DEFINE = 0
    QUICK = 1  # under the limits of the quick lane
    FULL = 2
    READY = 3
    VALUES = 4
    FAILED = 5
    SLOW = 6  # QUICK reached its time limit
    LATE = 7  # FULL reached its time limit; the rest is that of FAILED


HEAD: Final = struct.Struct("<IBI")
COUNT: Final = struct.Struct("<H")
LENGTH: Final = struct.Struct("<I")
PROGRESS: Final = struct.Struct("<IH")
"""In shared memory: the question under evaluation, and the index of its expression."""


def frame(kind: FrameKind, number: int, *rest: bytes) -> bytes:
    return b"".join((HEAD.pack(sum(map(len, rest)), kind, number), *rest))


class Frames:
    """Splits received bytes into frames: kind, number and rest."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield the frames that this data completes."""
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


def split_joined(rest: bytes) -> Iterator[bytes]:
    """Yield the byte strings that `joined` concatenated."""
    start = 0
    while start < len(rest):
        (length,) = LENGTH.unpack_from(rest, start)
        start += LENGTH.size
        yield rest[start : start + length]
        start += length


def joined(pieces: list[bytes]) -> bytes:
    return b"".join(part for piece in pieces for part in (LENGTH.pack(len(piece)), piece))
