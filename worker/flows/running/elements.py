"""The list of an iteration inside the run's message: packed, and without the part that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from worker.core.errors import Undecodable
from worker.flows.running.packing import packed, unpacked

TOGETHER = 64  # elements in one chunk: the part that is unpacked for one element


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
        return cls(tuple(packed(list(items[start : start + TOGETHER])) for start in range(0, len(items), TOGETHER)), len(items))

    def at(self, position: int) -> Any:
        """The element. Raises `Undecodable` when it is not there."""
        index = position // TOGETHER - self.dropped
        chunk = unpacked(self.chunks[index]) if 0 <= index < len(self.chunks) else []
        if not isinstance(chunk, list) or not position % TOGETHER < len(chunk):
            raise Undecodable(f"the iteration has no element {position}")
        return chunk[position % TOGETHER]

    def since(self, position: int) -> Self:
        """Without the chunks that end before this element."""
        gone = position // TOGETHER - self.dropped
        return type(self)(self.chunks[gone:], self.count, self.dropped + gone) if gone > 0 else self
