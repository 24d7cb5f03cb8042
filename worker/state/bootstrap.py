"""Create the first baton of a subscriber exactly once, and again only if the route allows it."""

from __future__ import annotations

import structlog

from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.core.topology import Topology, baton_topology, bootstrap_lock, bootstrap_marker, browsable_queue, state_queue, wait_queue
from worker.state.baton import Baton
from worker.state.baton_lease import forward_due

logger = structlog.get_logger()
LOCK_RETRY = 0.2


async def ensure_baton(broker: Broker, clock: Clock, subscriber: str, *, records: bool = True) -> None:
    """Declare the subscriber's state, and put its first baton unless a replica did so before. `records`: it has known records. Raises `TopologyMismatch`."""
    while True:
        async with broker.lock(bootstrap_lock(subscriber)) as mine:
            if mine:
                await _bootstrap(broker, clock, subscriber, records=records)
                return
        await clock.sleep(LOCK_RETRY)


async def _bootstrap(broker: Broker, clock: Clock, subscriber: str, *, records: bool) -> None:
    born = await broker.queue_exists(bootstrap_marker(subscriber))
    await broker.declare(baton_topology(subscriber, records=records))
    if born:
        return
    await put_new_baton(broker, subscriber, Baton(due=clock.now()))
    await broker.declare(Topology(queues=(browsable_queue(bootstrap_marker(subscriber)),)))
    logger.info("baton.created", subscriber=subscriber)


async def put_new_baton(broker: Broker, subscriber: str, baton: Baton) -> None:
    """Put a baton that no replica holds. After a crash at this point a second baton does no harm: the next lease merges them."""
    await broker.publish(Message(baton.encode()), routing_key=state_queue(subscriber))


async def baton_visible(broker: Broker, subscriber: str) -> bool:
    """Whether a baton waits or is due. Also False while a replica holds it, or the broker holds it back: then forward it."""
    depths = [await broker.queue_depth(state_queue(subscriber)), await broker.queue_depth(wait_queue(subscriber))]
    if not any(depths):
        await forward_due(broker, subscriber)
    return any(depths)


async def restart_baton(broker: Broker, clock: Clock, subscriber: str) -> bool:
    """Put a new first baton that outranks one that may come back. False when another replica does so or did so."""
    async with broker.lock(bootstrap_lock(subscriber)) as mine:
        if not mine or await baton_visible(broker, subscriber):
            return False
        await put_new_baton(broker, subscriber, Baton(epoch=int(clock.now()), due=clock.now()))
        return True
