"""The list of an iteration inside the run's message: packed, and without the part that is done."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode

TOGETHER = 64  # elements in one chunk: the part that is unpacked for one element
FASTEST = 1  # the level of zlib


@dataclass(frozen=True, slots=True)
class ElementList:
    """`count` elements in `chunks`, each the base64 text of 64 elements as compressed JSON; `dropped`: how many chunks before them are done.

    The message of a run holds the whole rest of the list, and each step of each element copies it.
    """

    chunks: tuple[str, ...] = ()
    count: int = 0
    dropped: int = 0

    @classmethod
    def of(cls, items: Sequence[Any]) -> Self:
        """Raises `Undecodable` for what is no JSON value."""
        return cls(tuple(packed(items[start : start + TOGETHER]) for start in range(0, len(items), TOGETHER)), len(items))

    def at(self, position: int) -> Any:
        """The element. Raises `Undecodable` when it is not there."""
        index = position // TOGETHER - self.dropped
        chunk = unpacked(self.chunks[index]) if 0 <= index < len(self.chunks) else []
        if not position % TOGETHER < len(chunk):
            raise Undecodable(f"the iteration has no element {position}")
        return chunk[position % TOGETHER]

    def since(self, position: int) -> Self:
        """Without the chunks that end before this element."""
        gone = position // TOGETHER - self.dropped
        return type(self)(self.chunks[gone:], self.count, self.dropped + gone) if gone > 0 else self


def packed(items: Sequence[Any]) -> str:
    return b64encode(zlib.compress(encode(list(items)), FASTEST)).decode()


def unpacked(chunk: str) -> list[Any]:
    """Raises `Undecodable`."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(b64decode(chunk, validate=True), MAX_BYTES)
    except (NotBase64, ValueError, zlib.error):
        raise Undecodable("the elements of the iteration cannot be unpacked") from None
    found = decode(text, max_depth=MAX_DEPTH + 1) if reader.eof else None
    if not isinstance(found, list):
        raise Undecodable("the elements of the iteration cannot be unpacked")
    return found
