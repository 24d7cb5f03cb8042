"""Work on large bodies, in a thread: the event loop takes turns meanwhile. Small bodies stay in the loop, where a thread would cost more than the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from worker.core.bodies import read_message
from worker.core.errors import Oversized
from worker.core.json_codec import LARGEST, undrafted
from worker.core.message import Message

LARGE: Final = 256 * 1024
"""Bytes of a body from which the work on it is done apart. It takes some milliseconds for this many."""
Result = TypeVar("Result")


async def apart(work: Callable[[], Result]) -> Result:
    """The result of `work`, done in a thread. Only one thread runs Python at a time; Python changes threads every 5 ms, but not within one call of C.

    So `work` must go through a large body in pieces. When the caller is cancelled, the thread ends its work, and the result is dropped.
    """
    return await asyncio.to_thread(work)


async def fitting(size: int, work: Callable[[], Result]) -> Result:
    """The result of `work` on `size` bytes, apart where it is large."""
    return work() if size <= LARGE else await apart(work)


def is_small(message: Message) -> bool:
    """Whether a body is read in the loop. A compressed one may unpack to a large one."""
    return len(message.body) <= LARGE and not message.content_encoding


def unchanged(document: Any) -> Any:
    return document


async def read_body(message: Message, limit: int = LARGEST, then: Callable[[Any], Any] = unchanged) -> Any:
    """As `read_message`, apart where the body is large, and so is what `then` makes of it. Raises `Undecodable`, `Oversized`, and what `then` raises."""
    if len(message.body) <= LARGE:
        try:
            return then(read_message(message, min(limit, LARGE)))
        except Oversized:  # a body that unpacks to a large one is refused before it is unpacked
            pass
    return await apart(lambda: then(read_message(message, limit)))


async def finished(text: bytes) -> bytes:
    """As `undrafted`, apart where the text is large. Raises `Undecodable`."""
    return await fitting(len(text), lambda: undrafted(text))
