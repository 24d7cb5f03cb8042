"""Minting permits: one replica at a time makes them, at the pace of the rate limit, for all.

Permits are published on the connection that holds the lock: whoever has lost it cannot mint any more. A mark that outlives the interval between two permits tells the others that
somebody mints; its successor begins when the mark is gone, and so keeps the pace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson
import structlog

from worker.core.allowance import Allowance, Pace
from worker.core.errors import Undecodable
from worker.core.jsontext import decode
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import minted_mark, pause_queue, permits_queue, permits_topology
from worker.metrics import Metrics

PAUSE_LOOK = 0.5  # seconds between two looks for a pause
PAUSE_LIMIT = 600.0
DECLARE_AGAIN = 3600.0  # queues that nobody declares or reads go after a day

log = structlog.get_logger()


class Mint:
    """For the holder of the lock; `names` are of the clients that share the tenant, for logs and metrics."""

    def __init__(self, names: Sequence[str], tenant: str, allowance: Allowance, clock: Clock, metrics: Metrics) -> None:
        self._names = names
        self._tenant = tenant
        self._allowance = allowance
        self._clock = clock
        self._metrics = metrics
        self._marked = -math.inf
        self._looked = -math.inf
        self._declared = -math.inf
        self._paused_until = -math.inf
        self._pause: Delivery | None = None

    async def run(self, broker: Broker) -> None:
        """Mint as long as the attachment lives. Raises `BrokerError`."""
        while await broker.queue_depth(minted_mark(self._tenant)):
            await self._clock.sleep(self._allowance.mark / 10)
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(broker.channel(publishing=True))
            log.info("permits.minting", clients=list(self._names), queue=permits_queue(self._tenant), seconds_between=round(self._allowance.interval, 3))
            self._tell(1)
            stack.callback(self._tell, 0)
            pace = Pace(self._allowance, self._clock.monotonic())
            while True:
                await self._keep_queues(broker)
                await self._heed_pauses(channel)
                now = self._clock.monotonic()
                await self._mark(channel, now)
                if now < self._paused_until:
                    await self._clock.sleep(min(self._paused_until - now, self._allowance.mark / 3))
                    continue
                if count := pace.due(now):
                    await self._put(channel, count)
                    pace.minted(count, now, self._clock.monotonic())
                await self._clock.sleep(min(pace.wait(self._clock.monotonic()), self._allowance.mark / 3))

    def _tell(self, minting: int) -> None:
        for name in self._names:
            self._metrics.minting.labels(name).set(minting)

    async def _put(self, channel: Channel, count: int) -> None:
        permit = Message(orjson.dumps({"requests": count}), expiration=self._allowance.life)
        await channel.publish(permit, routing_key=permits_queue(self._tenant))
        for name in self._names:
            self._metrics.permits_minted.labels(name).inc(count)

    async def _mark(self, channel: Channel, now: float) -> None:
        """Before a permit, so that the mark outlives the interval after it."""
        if now - self._marked >= self._allowance.mark / 3:
            await channel.publish(Message(b"{}", expiration=self._allowance.mark), routing_key=minted_mark(self._tenant))
            self._marked = now

    async def _heed_pauses(self, channel: Channel) -> None:
        """A pause is held until it is over: a successor finds it again."""
        now = self._clock.monotonic()
        if self._pause is not None and now >= self._paused_until:
            held, self._pause = self._pause, None
            await held.ack()
        if self._pause is not None or now - self._looked < PAUSE_LOOK:
            return
        self._looked = now
        self._pause = await channel.get(pause_queue(self._tenant))
        if self._pause is not None:
            seconds = remaining(self._pause.message.body, self._clock.now())
            self._paused_until = now + seconds
            log.warning("permits.paused", clients=list(self._names), seconds=round(seconds, 1))

    async def _keep_queues(self, broker: Broker) -> None:
        now = self._clock.monotonic()
        if now - self._declared >= DECLARE_AGAIN:
            await broker.declare(permits_topology(self._tenant))
            self._declared = now


def pause_message(seconds: float, now: float) -> Message:
    """What tells the minter that Halo wants to be left alone; `now` since the epoch."""
    limited = min(max(seconds, 0.0), PAUSE_LIMIT)
    return Message(orjson.dumps({"seconds": limited, "until": now + limited}), expiration=limited)


def remaining(body: bytes, now: float) -> float:
    """Seconds that a pause still lasts; a clock that is wrong makes it no longer than it was. 0 for what is no pause."""
    try:
        told = decode(body)
        return max(0.0, min(float(told["seconds"]), float(told["until"]) - now, PAUSE_LIMIT))
    except (Undecodable, KeyError, TypeError, ValueError):
        return 0.0
