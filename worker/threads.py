"""Work on large bodies, in a thread: the event loop takes turns meanwhile. Small bodies stay in the loop, where a thread would cost more than the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from worker.core.bodies import LARGE, read_message
from worker.core.errors import Oversized
from worker.core.json_codec import LARGEST, undrafted
from worker.core.message import Message

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """The result of `work`, done in a thread. Only one thread runs Python at a time; Python changes threads every 5 ms, but not within one call of C.

    So `work` must go through a large body in pieces. When the caller is cancelled, the thread ends its work, and the result is dropped.
    """
    return await asyncio.to_thread(work)


async def in_thread_if_large(size: int, work: Callable[[], Result]) -> Result:
    """The result of `work` on `size` bytes, in a thread where they are many."""
    return work() if size <= LARGE else await in_thread(work)


async def within(limit: int, body: bytes, work: Callable[[int], Result]) -> Result:
    """The result of `work(limit)`, in a thread where the body is large, or is once it is unpacked. `work` raises `Oversized` for more bytes than it is given."""
    if len(body) <= LARGE:
        try:
            return work(min(limit, LARGE))
        except Oversized:  # before it is unpacked
            pass
    return await in_thread(lambda: work(limit))


def unchanged(document: Any) -> Any:
    return document


async def read_body(message: Message, limit: int = LARGEST, then: Callable[[Any], Any] = unchanged) -> Any:
    """As `read_message`, in a thread where the body is large, and so is what `then` makes of it. Raises `Undecodable`, `Oversized`, and what `then` raises."""
    return await within(limit, message.body, lambda most: then(read_message(message, most)))


async def undrafted_in_thread(text: bytes) -> bytes:
    """As `undrafted`, in a thread where the text is large. Raises `Undecodable`."""
    return await in_thread_if_large(len(text), lambda: undrafted(text))
