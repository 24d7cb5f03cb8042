"""Running a handler once there is memory for the work on its message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from worker.core.jsontext import weight_of
from worker.core.message import Delivery
from worker.core.outcome import Outcome, Unsent
from worker.flows.consuming.memory import Memory, Share
from worker.flows.consuming.receipts import FREE
from worker.flows.waiting import first_of

STOPPING = "the worker stops: it waited for memory and was not begun"


async def with_memory(memory: Memory, delivery: Delivery, run: Callable[[], Awaitable[Outcome]], stop: asyncio.Event | None = None) -> Outcome:
    """What `run` makes of the delivery. While it waits it is not begun: should the worker die, that can be told; when the worker stops, it goes back."""
    body = delivery.message.body
    if len(body) <= FREE:
        return await run()
    weight = weight_of(body)
    share = memory.work_now(weight)
    if share is None:
        await memory.receipts.leave(delivery)
        share = await (memory.work(weight) if stop is None else first_of(memory.work(weight), stop.wait()))
    if not isinstance(share, Share):
        return Unsent(STOPPING, counted=False)
    try:
        return await run()
    finally:
        share.release()
