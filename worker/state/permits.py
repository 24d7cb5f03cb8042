"""Permits to send to Halo, taken from a short queue that all replicas share. A replica that finds no issuer becomes it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from worker.core.allowance import Allowance, Permit
from worker.core.entropy import uniform
from worker.core.errors import BrokerError, Undecodable
from worker.core.json_codec import decode
from worker.core.permit_topology import issuer_lock, issuer_marker, pause_queue, permits_queue, permits_topology
from worker.core.ports import Broker, Channel, Clock
from worker.core.repeats import Repeats
from worker.metrics import Metrics
from worker.state.permit_issuer import PermitIssuer, pause_message

RETRY = 1.0  # seconds until the next try after the loss of a channel alone
UNSERVED = 1.0  # seconds without a permit after which a replica checks for an issuer
ISSUER_CHECK = 0.5  # seconds between two such checks

log = structlog.get_logger()


class SharedPermits:
    """Implements `worker.core.ports.Permits` over any number of broker attachments. `names`: the clients that share the tenant."""

    def __init__(self, names: Sequence[str], tenant: str, allowance: Allowance, clock: Clock, metrics: Metrics) -> None:
        self._names = tuple(names)
        self._tenant = tenant
        self._allowance = allowance
        self._clock = clock
        self._metrics = metrics
        self._requests: deque[Callable[[Permit], None]] = deque()
        self._pause = 0.0
        self._repeats = Repeats()
        self._wanted = asyncio.Event()
        self._unserved = asyncio.Event()
        self._served_at = -math.inf
        for name in names:
            metrics.permits_minted.labels(name)
            metrics.minting.labels(name).set(0)

    def ask(self, granted: Callable[[Permit], None]) -> Callable[[], None]:
        self._requests.append(granted)
        self._wanted.set()

        def withdraw() -> None:
            if granted in self._requests:
                self._requests.remove(granted)

        return withdraw

    def throttled(self, seconds: float) -> None:
        self._pause = max(self._pause, seconds)
        self._wanted.set()

    async def serve(self, broker: Broker) -> None:
        """Take permits, and issue them if no other replica does, until the attachment is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._take, broker))
            tasks.create_task(self._repeat(self._issue_where_missing, broker))

    async def _repeat(self, work: Callable[[Broker], Awaitable[None]], broker: Broker) -> None:
        """Repeat the work on a new channel when only the channel is lost. Each task has its own: a cancellation while it closes loses the attachment."""
        while not broker.lost:
            try:
                await broker.declare(permits_topology(self._tenant))
                await work(broker)
            except BrokerError as error:
                if self._repeats.due(str(error), self._clock.monotonic()):
                    log.warning("permits.interrupted", clients=list(self._names), reason=str(error), retry_in_s=RETRY)
            await self._clock.sleep(RETRY)

    async def _take(self, broker: Broker) -> None:
        """Give one permit after the other to the requests, in their order."""
        async with broker.channel() as channel:
            while True:
                await self._wanted.wait()
                await self._announce_pause(broker)
                if not self._requests:
                    self._wanted.clear()
                elif (permit := await self._next(channel)) is not None and self._requests:
                    self._requests.popleft()(permit)

    async def _next(self, channel: Channel) -> Permit | None:
        """The next permit that no other replica can have used, or None. A redelivered permit may have been used; one that took long to arrive is too old."""
        asked = self._clock.monotonic()
        delivery = await channel.get(permits_queue(self._tenant))
        if delivery is None:
            if asked - self._served_at > max(UNSERVED, 2 * self._allowance.interval):
                self._unserved.set()
            await self._clock.sleep(self._allowance.poll_interval * uniform(0.75, 1.25))
            return None
        await delivery.ack()
        requests = requests_in(delivery.message.body)
        if not 0 < requests <= self._allowance.most:
            self._refuse(requests)
            return None
        permit = Permit(requests, asked + self._allowance.use)
        if delivery.redelivered or self._clock.monotonic() >= permit.until:
            return None
        self._served_at = asked
        for name in self._names:
            self._metrics.permits_taken.labels(name).inc(permit.requests)
        return permit

    def _refuse(self, requests: int) -> None:
        self._metrics.refused_state.labels("permit").inc()
        reason = f"a permit allows 1 to {self._allowance.most} requests: no worker issued this one"
        log.error("permit.refused", clients=list(self._names), requests=requests, reason=reason)

    async def _announce_pause(self, broker: Broker) -> None:
        if self._pause:
            seconds, self._pause = self._pause, 0.0
            await broker.publish(pause_message(seconds, self._clock.now()), routing_key=pause_queue(self._tenant))

    async def _issue_where_missing(self, broker: Broker) -> None:
        """Become the issuer when permits are missing and there is no mark. RabbitMQ logs each refused lock as an error, so try the lock only then."""
        while True:
            await self._unserved.wait()
            self._unserved.clear()
            if not await broker.queue_depth(issuer_marker(self._tenant)):
                async with broker.lock(issuer_lock(self._tenant)) as mine:
                    if mine:
                        await PermitIssuer(self._names, self._tenant, self._allowance, self._clock, self._metrics).run(broker)
            await self._clock.sleep(ISSUER_CHECK * uniform(0.75, 1.25))


def requests_in(body: bytes) -> int:
    """The number of requests that a permit allows; 0 for a message that is no permit."""
    try:
        requests = decode(body)["requests"]
    except (Undecodable, KeyError, TypeError):
        return 0
    return requests if type(requests) is int and requests > 0 else 0
