"""Notices a consumer that is there by name only: messages are ready, it has room for them, and none comes."""

from __future__ import annotations

from collections.abc import Callable

from worker.core.ports import Broker, Clock

LOOK_EVERY = 10.0  # seconds; a broker that is alive hands a ready message out at once


async def stalled(broker: Broker, clock: Clock, queue: str, arrivals: Callable[[], int], has_room: Callable[[], bool], well: Callable[[], None]) -> str:
    """Ends, with the reason, when this is so at two looks in a row. `arrivals` counts what came; `well` is called when all is well. Raises `BrokerError`."""
    suspicion = None
    while True:
        before = arrivals()
        await clock.sleep(LOOK_EVERY)
        if not has_room():
            continue
        depth = await broker.queue_depth(queue)
        if not depth or arrivals() != before:
            suspicion = None
            well()
        elif suspicion == before:
            return f"{depth} message{'' if depth == 1 else 's'} ready in {queue}, and none is handed out to this consumer"
        else:
            suspicion = before
