"""The queue in which the lanes of an iteration meet: the last lane to end finds the parts of all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from worker.core.errors import Undecodable
from worker.core.json_codec import LARGEST, decode, encode
from worker.core.lanes import LanePart, Onward
from worker.core.message import Delivery, Message, up_to
from worker.core.ports import Broker, Channel, Clock

logger = structlog.get_logger()
LOCK_RETRY = 0.1  # seconds
DEEPER = 72  # levels: a variable may be as deep as any document


Over = Callable[[str], Awaitable[bool]]
"""Whether the run with the iteration of this key has gone on: a lane failed, and no replica takes the parts of the others any more."""


async def never(_: str) -> bool:
    return False


async def join_lanes(broker: Broker, clock: Clock, queue: str, part: LanePart, onward: Onward, over: Over = never) -> bool:
    """As `RunBroker.join`. A lock lets one lane look at a time: two that each hold a part would both find one missing."""
    await broker.publish(Message(encode({"key": part.key, "lane": part.lane, "document": part.document})), routing_key=queue)
    while True:
        async with broker.lock(f"{queue}.lock") as mine:
            if mine:
                async with broker.channel(publishing=True) as channel:
                    return await _together(channel, queue, part, onward, over)
        await clock.sleep(LOCK_RETRY)


async def _together(channel: Channel, queue: str, part: LanePart, onward: Onward, over: Over) -> bool:
    """Take, publish and acknowledge on one channel; closing it returns the parts of other iterations to the queue, but for those that are over."""
    taken: list[Delivery] = []
    found: dict[int, Any] = {}
    while (delivery := await channel.get(queue, keep=up_to(LARGEST))) is not None:
        key, lane, document = read_part(delivery)
        if key == part.key:
            taken.append(delivery)
            found.setdefault(lane, document)
        elif await over(key):
            await delivery.ack()
    if len(found) < part.lanes:
        return False
    message, target = onward(found)
    await channel.publish(message, routing_key=target)
    for delivery in taken:
        await delivery.ack()
    return True


def read_part(delivery: Delivery) -> tuple[str, int, Any]:
    """Key, lane and document; no key for a message that is no part."""
    try:
        body = decode(delivery.message.body, max_depth=DEEPER)
        return str(body["key"]), int(body["lane"]), body["document"]
    except (Undecodable, KeyError, TypeError, ValueError):
        logger.warning("lane.unreadable", queue=delivery.queue, message_id=delivery.message.message_id)
        return "", 0, None
