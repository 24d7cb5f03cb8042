"""The key of the worker's own headers: made once for each virtual host, and kept in a stream that only workers may read."""

from __future__ import annotations

import structlog

from worker.core.entropy import secret
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.core.topology import KEYS, KEYS_LOCK, KEYS_MADE, Topology, browsed, keys_topology
from worker.state.stream_follower import SILENCE, open_stream

logger = structlog.get_logger()
KEY_BYTES = 32
LOCK_RETRY = 0.2


async def shared_key(broker: Broker, clock: Clock) -> bytes:
    """The key of all replicas; the first replica makes it. Raises `BrokerError`."""
    while True:
        if await broker.queue_exists(KEYS_MADE) and (key := await _first(broker)):
            return key
        async with broker.lock(KEYS_LOCK) as mine:
            if mine:
                await _make(broker)
                continue
        await clock.sleep(LOCK_RETRY)


async def _make(broker: Broker) -> None:
    """Put a key into the stream. The caller then reads the first key there: a replica that lost its connection before its mark may have put an earlier one."""
    made_before = await broker.queue_exists(KEYS_MADE)
    await broker.declare(keys_topology())
    if made_before:
        if await _first(broker):  # another replica made it meanwhile
            return
        reason = f"{KEYS} is empty: it was purged or deleted. A new key is made; headers that the worker wrote on waiting messages are no longer trusted"
        logger.error("key.lost", queue=KEYS, reason=reason)
    await broker.publish(Message(secret(KEY_BYTES), content_type="application/octet-stream"), routing_key=KEYS)
    await broker.declare(Topology(queues=(browsed(KEYS_MADE),)))


async def _first(broker: Broker) -> bytes | None:
    """The first key of the stream; None if it holds none. Raises `BrokerError`."""
    if not await broker.queue_exists(KEYS):
        return None
    async with open_stream(broker, KEYS, "first", prefetch=1) as reader:
        while batch := await reader.batch(SILENCE):
            for delivery in batch:
                if len(delivery.message.body) == KEY_BYTES:
                    return delivery.message.body
    return None
