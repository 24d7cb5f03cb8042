"""Waits for a baton, for subscribers and schedules alike."""

from __future__ import annotations

import asyncio

from worker.core.message import Delivery
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import state_queue
from worker.flows.consuming.watchdog import stalled
from worker.flows.waiting import race
from worker.state.baton_lease import BatonLease


async def next_arrival(
    broker: Broker,
    clock: Clock,
    name: str,
    lease: BatonLease,
    channel: Channel,
    stop: asyncio.Event,
    max_wait: float,
) -> Delivery | str | bool | None:
    """Return the delivery with the baton. A text: why the channel delivers none. True: `stop` is set. None: no baton came within `max_wait` seconds."""
    stalls = stalled(broker, clock, state_queue(name), arrivals=int, has_room=lambda: True, on_healthy=lambda: None)
    arrived: Delivery | str | bool | None = await race(lease.arrival(), channel.wait_closed(), stop.wait(), stalls, timeout=max_wait)
    return arrived
