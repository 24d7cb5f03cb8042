"""The queue in which the lanes of an iteration leave their parts: the last lane to end finds the parts of all lanes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import LARGEST, MAX_BYTES, MAX_VALUES, count_values, decode, encode
from worker.core.lanes import LanePart, Onward
from worker.core.message import Announced, Delivery, Keep, Message
from worker.core.ports import Broker, Channel, Clock
from worker.metrics import Metrics
from worker.threads import in_thread_if_large

logger = structlog.get_logger()
LOCK_RETRY = 0.1  # seconds
DEEPER = 72  # levels: a variable may be as deep as any document
SMALL = 32 * 1024  # bytes of a part that is read for any iteration
PART = "part of "  # begins the message ids of parts; parts of an older worker have other ids, and are read
MAX_ID = 200  # characters; a longer key, of deeply nested iterations, is only in the body


IsOver = Callable[[str], Awaitable[bool]]
"""Whether the run with the iteration of this key has continued: a lane failed, and no replica takes the parts of the other lanes any more."""


async def never(_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class LaneResults:
    """Joins the parts of lanes. `codec`: proves the parts, so that a forged result cannot become a variable of a run."""

    broker: Broker
    clock: Clock
    codec: HeaderCodec
    metrics: Metrics
    over: IsOver = never

    async def join(self, queue: str, part: LanePart, onward: Onward) -> bool:
        """Join as `RunBroker.join`. A lock lets one lane read at a time: two lanes that each hold a part would both find one missing."""
        body = encode({"key": part.key, "lane": part.lane, "document": part.document})
        await self.broker.publish(self.codec.sign(Message(body, message_id=id_of(part.key)), queue), routing_key=queue)
        while True:
            async with self.broker.lock(f"{queue}.lock") as mine:
                if mine:
                    async with self.broker.channel(publishing=True) as channel:
                        return await self._join_parts(channel, queue, part, onward)
            await self.clock.sleep(LOCK_RETRY)

    async def _join_parts(self, channel: Channel, queue: str, part: LanePart, onward: Onward) -> bool:
        """Take, publish and acknowledge on one channel. At its close, parts of other iterations return to the queue, except iterations that are over.

        Large parts of other iterations come without their bodies: otherwise each lane that ends would decode the results of all current iterations.
        """
        taken: list[Delivery] = []
        found: dict[int, Any] = {}
        size = values = 0
        while (delivery := await channel.get(queue, keep=keep_own_parts(part.key))) is not None:
            if delivery.dropped_body is not None:
                if await self.over(delivery.message.message_id.removeprefix(PART)):
                    await delivery.ack()
                continue
            read = await in_thread_if_large(len(delivery.message.body), partial(self._read, delivery, queue))
            if read is None:
                await delivery.ack()
                continue
            key, lane, document = read
            if key == part.key:
                taken.append(delivery)
                if lane not in found:
                    found[lane] = document
                    size, values = size + len(delivery.message.body), values + count_values(delivery.message.body)
                    check_total(size, values)
            elif await self.over(key):
                await delivery.ack()
        if len(found) < part.lanes:
            return False
        message, target = onward(found)
        await channel.publish(message, routing_key=target)
        for delivery in taken:
            await delivery.ack()
        return True

    def _read(self, delivery: Delivery, queue: str) -> tuple[str, int, Any] | None:
        """Key, lane and document; None for a message that no worker wrote."""
        if self.codec.is_proven(delivery.message, queue, delivery.digest):
            try:
                body = decode(delivery.message.body, max_depth=DEEPER)
                return str(body["key"]), int(body["lane"]), body["document"]
            except (Undecodable, KeyError, TypeError, ValueError) as error:
                reason = f"it is no result of a lane: {type(error).__name__}"
        else:
            reason = "no worker wrote it, or the key in halo.keys was lost and made again"
        self.metrics.refused_state.labels("lane").inc()
        logger.error("lane.refused", queue=queue, message_id=delivery.message.message_id, reason=reason)
        return None


def check_total(size: int, values: int) -> None:
    """Raise `Undecodable` when the results exceed the limits of a run's message. Further results are then not read, and take no memory."""
    if size > MAX_BYTES or values > MAX_VALUES:
        raise Undecodable(f"the results of its lanes have more than {MAX_BYTES:,} bytes or {MAX_VALUES:,} names and values together: no run can hold them")


def id_of(key: str) -> str:
    """The message id of an iteration's parts. Empty for a key that is too long: the broker's port then gives each part a new id."""
    return f"{PART}{key}" if len(key) <= MAX_ID else ""


def keep_own_parts(key: str) -> Keep:
    """Keeps the bodies of this iteration's parts, small bodies, and bodies whose message id does not name an iteration."""
    mine = id_of(key)

    def keep(announced: Announced) -> bool:
        foreign = announced.message_id.startswith(PART) and announced.message_id != mine
        return announced.size <= (SMALL if foreign else LARGEST)

    return keep
