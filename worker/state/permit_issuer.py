"""Issue permits at the pace of the rate limit: one replica at a time, for all replicas.

The issuer publishes on the connection that holds the lock, so an issuer that lost its lock cannot publish. A mark that lives longer than the interval between
two permits shows that an issuer is alive. Its successor begins when the mark has expired, and so keeps the pace.

Why an issuer, and nothing simpler:

- A fixed share for each replica leaves the share of an idle replica unused. With three replicas of which one has work, 233 of 700 requests would be used; an
  issuer lets that replica use 648.
- Shares by the number of live replicas have the same loss. A new replica would also have to wait for a whole window before its first request.
- Tokens that circulate between an available and a used queue need a fixed number of tokens for ever. RabbitMQ may lose or double one, which changes the limit
  for good. Such a bucket can also be emptied at once: every request then waits for up to a whole window.

Permits expire within seconds and carry no history, so a lost or doubled permit has no lasting effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson
import structlog

from worker.core.allowance import Allowance, Pace
from worker.core.errors import Undecodable
from worker.core.json_codec import decode
from worker.core.message import Delivery, Message
from worker.core.permit_topology import issuer_marker, pause_queue, permits_queue, permits_topology
from worker.core.ports import Broker, Channel, Clock
from worker.metrics import Metrics

PAUSE_POLL = 0.5  # seconds between two reads of the pause queue
PAUSE_LIMIT = 600.0
REDECLARE = 3600.0  # seconds; RabbitMQ deletes these queues after a day without a declaration or a read

log = structlog.get_logger()


class PermitIssuer:
    """Runs in the replica that holds the lock. `names`: the clients that share the tenant, for logs and metrics."""

    def __init__(self, names: Sequence[str], tenant: str, allowance: Allowance, clock: Clock, metrics: Metrics) -> None:
        self._names = names
        self._tenant = tenant
        self._allowance = allowance
        self._clock = clock
        self._metrics = metrics
        self._marked_at = -math.inf
        self._pause_read_at = -math.inf
        self._declared_at = -math.inf
        self._paused_until = -math.inf
        self._pause: Delivery | None = None

    async def run(self, broker: Broker) -> None:
        """Issue permits until the attachment is lost. Raises `BrokerError`."""
        while await broker.queue_depth(issuer_marker(self._tenant)):
            await self._clock.sleep(self._allowance.mark / 10)
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(broker.channel(publishing=True))
            log.info("permits.issuing", clients=list(self._names), queue=permits_queue(self._tenant), seconds_between=round(self._allowance.interval, 3))
            self._report(1)
            stack.callback(self._report, 0)
            pace = Pace(self._allowance, self._clock.monotonic())
            while True:
                await self._declare(broker)
                await self._apply_pause(channel)
                now = self._clock.monotonic()
                await self._mark(channel, now)
                if now < self._paused_until:
                    await self._clock.sleep(min(self._paused_until - now, self._allowance.mark / 3))
                    continue
                if count := pace.due(now):
                    await self._issue(channel, count)
                    pace.confirmed(count, now, self._clock.monotonic())
                await self._clock.sleep(min(pace.wait(self._clock.monotonic()), self._allowance.mark / 3))

    def _report(self, minting: int) -> None:
        for name in self._names:
            self._metrics.minting.labels(name).set(minting)

    async def _issue(self, channel: Channel, count: int) -> None:
        permit = Message(orjson.dumps({"requests": count}), expiration=self._allowance.life)
        await channel.publish(permit, routing_key=permits_queue(self._tenant))
        for name in self._names:
            self._metrics.permits_minted.labels(name).inc(count)

    async def _mark(self, channel: Channel, now: float) -> None:
        """Publish the mark before the permit, so that it outlives the interval after it."""
        if now - self._marked_at >= self._allowance.mark / 3:
            await channel.publish(Message(b"{}", expiration=self._allowance.mark), routing_key=issuer_marker(self._tenant))
            self._marked_at = now

    async def _apply_pause(self, channel: Channel) -> None:
        """Hold the pause message unacknowledged until the pause is over, so that a successor finds it."""
        now = self._clock.monotonic()
        if self._pause is not None and now >= self._paused_until:
            held, self._pause = self._pause, None
            await held.ack()
        if self._pause is not None or now - self._pause_read_at < PAUSE_POLL:
            return
        self._pause_read_at = now
        self._pause = await channel.get(pause_queue(self._tenant))
        if self._pause is not None:
            seconds = remaining(self._pause.message.body, self._clock.now())
            self._paused_until = now + seconds
            log.warning("permits.paused", clients=list(self._names), seconds=round(seconds, 1))

    async def _declare(self, broker: Broker) -> None:
        now = self._clock.monotonic()
        if now - self._declared_at >= REDECLARE:
            await broker.declare(permits_topology(self._tenant))
            self._declared_at = now


def pause_message(seconds: float, now: float) -> Message:
    """The message that informs the issuer of a 429 from Halo. `now`: seconds since 1970."""
    limited = min(max(seconds, 0.0), PAUSE_LIMIT)
    return Message(orjson.dumps({"seconds": limited, "until": now + limited}), expiration=limited)


def remaining(body: bytes, now: float) -> float:
    """Remaining seconds of a pause, at most its own length even if clocks differ. 0 for a message that is no pause."""
    try:
        pause = decode(body)
        return max(0.0, min(float(pause["seconds"]), float(pause["until"]) - now, PAUSE_LIMIT))
    except (Undecodable, KeyError, TypeError, ValueError):
        return 0.0
