"""Processes large bodies in a thread, so that the event loop runs meanwhile. Small bodies stay in the loop: a thread would cost more than the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from worker.core.bodies import LARGE, read_message
from worker.core.errors import Oversized
from worker.core.json_codec import LARGEST, finish_draft
from worker.core.message import Message

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """The result of `work`, done in a thread. Only one thread runs Python at a time; Python changes threads every 5 ms, but not within one call of C.

    So `work` must process a large body in pieces. When the caller is cancelled, the thread completes its work, and the result is dropped.
    """
    return await asyncio.to_thread(work)


async def in_thread_if_large(size: int, work: Callable[[], Result]) -> Result:
    """The result of `work` on `size` bytes, in a thread if they are more than `LARGE`."""
    return work() if size <= LARGE else await in_thread(work)


async def within(limit: int, body: bytes, work: Callable[[int], Result]) -> Result:
    """The result of `work(limit)`, in a thread if the body is large, compressed or decompressed. `work` raises `Oversized` for more bytes than its argument."""
    if len(body) <= LARGE:
        try:
            return work(min(limit, LARGE))
        except Oversized:  # raised before the body is decompressed
            pass
    return await in_thread(lambda: work(limit))


def unchanged(document: Any) -> Any:
    return document


async def read_body(message: Message, limit: int = LARGEST, then: Callable[[Any], Any] = unchanged) -> Any:
    """The result of `then` on the value of `read_message`, both in a thread if the body is large. Raises `Undecodable`, `Oversized`, and `then`'s errors."""
    return await within(limit, message.body, lambda most: then(read_message(message, most)))


async def finish_draft_in_thread(text: bytes) -> bytes:
    """The result of `finish_draft`, in a thread if the text is large. Raises `Undecodable`."""
    return await in_thread_if_large(len(text), lambda: finish_draft(text))
