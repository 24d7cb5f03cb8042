"""Notices a stalled consumer: messages are ready and it has room for them, but the broker delivers none."""

from __future__ import annotations

from collections.abc import Callable

from worker.core.entropy import uniform
from worker.core.ports import Broker, Clock

LOOK_EVERY = 10.0  # seconds; a broker that is alive delivers a ready message at once
LEAST_OFTEN = 6  # times as long, for a queue that stays empty


async def stalled(broker: Broker, clock: Clock, queue: str, arrivals: Callable[[], int], has_room: Callable[[], bool], on_healthy: Callable[[], None]) -> str:
    """Return the reason when the consumer is stalled at two checks in a row. Raises `BrokerError`.

    `arrivals` counts its deliveries; the worker calls `on_healthy` when the consumer is not stalled. The worker asks the broker only when no delivery came, and less
    and less often as long as the queue is empty. Hundreds of idle routes would cost much otherwise.
    """
    suspicion, patience = None, 1
    while True:
        before = arrivals()
        await clock.sleep(LOOK_EVERY * patience * uniform(0.9, 1.0))
        if not has_room():
            continue
        came = arrivals() != before
        depth = None if came else await broker.queue_depth(queue)
        if not depth or arrivals() != before:
            suspicion, patience = None, 1 if came else min(LEAST_OFTEN, patience + 1)
            on_healthy()
        elif suspicion == before:
            return f"{depth} message{'' if depth == 1 else 's'} ready in {queue}, and the broker delivers none to this consumer"
        else:
            suspicion, patience = before, 1
