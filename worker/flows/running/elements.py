"""The list of an iteration inside the run's message: compressed, and without the part that is done."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from worker.core.errors import Undecodable
from worker.core.json_codec import WEIGHT_OF_BYTE
from worker.flows.running.compression import compress_and_weigh, compress_and_weigh_in_thread, decompress

CHUNK_ELEMENTS = 64  # elements in one chunk: the part that is decompressed for one element
BYTES_BETWEEN_PAUSES = 256 * 1024  # bytes of memory that the chunks between two pauses take decompressed: to compress them takes some milliseconds


@dataclass(frozen=True, slots=True)
class ElementList:
    """`count` elements in `chunks`, each the base64 text of 64 elements as compressed JSON; `dropped`: how many chunks before them are done.
    `weighs`: bytes of memory that the heaviest chunk of the list takes decompressed.

    The message of a run holds the whole rest of the list, and each step of each element copies it.
    """

    chunks: tuple[str, ...] = ()
    count: int = 0
    dropped: int = 0
    weighs: int = 0

    @classmethod
    def of(cls, items: Sequence[Any]) -> Self:
        """Pack the elements. Raises `Undecodable` for a value that is not JSON."""
        chunks = [compress_and_weigh(list(items[start : start + CHUNK_ELEMENTS])) for start in range(0, len(items), CHUNK_ELEMENTS)]
        return cls(tuple(text for text, _ in chunks), len(items), weighs=max((weight for _, weight in chunks), default=0))

    @classmethod
    async def paced(cls, items: Sequence[Any]) -> Self:
        """As `of`, with pauses in which other work goes on. Raises `Undecodable`."""
        chunks: list[str] = []
        heaviest = since = 0
        for start in range(0, len(items), CHUNK_ELEMENTS):
            text, weighs = await compress_and_weigh_in_thread(list(items[start : start + CHUNK_ELEMENTS]))
            chunks.append(text)
            heaviest, since = max(heaviest, weighs), since + weighs
            if since > BYTES_BETWEEN_PAUSES:
                since = 0
                await asyncio.sleep(0)
        return cls(tuple(chunks), len(items), weighs=heaviest)

    @property
    def bytes(self) -> int:
        """The most bytes that a chunk of the list can have as JSON."""
        return self.weighs // WEIGHT_OF_BYTE

    def at(self, position: int) -> Any:
        """Return the element at this position. Raises `Undecodable` when the list lacks it."""
        index = position // CHUNK_ELEMENTS - self.dropped
        chunk = decompress(self.chunks[index]) if 0 <= index < len(self.chunks) else []
        if not isinstance(chunk, list) or not position % CHUNK_ELEMENTS < len(chunk):
            raise Undecodable(f"the iteration has no element {position}")
        return chunk[position % CHUNK_ELEMENTS]

    def since(self, position: int) -> Self:
        """Return the list without the chunks that end before this element."""
        gone = position // CHUNK_ELEMENTS - self.dropped
        return type(self)(self.chunks[gone:], self.count, self.dropped + gone, self.weighs) if gone > 0 else self
