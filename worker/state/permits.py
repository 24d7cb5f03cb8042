"""Permits to send to Halo, taken from a short queue that all replicas share; the replica that finds nobody minting them does it itself."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from worker.core.allowance import Allowance, Permit
from worker.core.errors import BrokerError, Undecodable
from worker.core.jsontext import decode
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import mint_lock, minted_mark, pause_queue, permits_queue, permits_topology
from worker.metrics import Metrics
from worker.state.mint import Mint, pause_message

RETRY = 1.0  # seconds until the queues are tried again after a channel was lost alone
UNSERVED = 1.0  # seconds without a permit after which somebody looks whether anybody mints
SUCCESSION = 0.5  # seconds between two such looks

log = structlog.get_logger()


class SharedPermits:
    """Implements `worker.core.ports.Permits` over whichever broker it is served through; outlives attachments. `names`: of the clients that share the tenant."""

    def __init__(self, names: Sequence[str], tenant: str, allowance: Allowance, clock: Clock, metrics: Metrics) -> None:
        self._names = tuple(names)
        self._tenant = tenant
        self._allowance = allowance
        self._clock = clock
        self._metrics = metrics
        self._questions: deque[Callable[[Permit], None]] = deque()
        self._pause = 0.0
        self._wanted = asyncio.Event()
        self._missing = asyncio.Event()
        self._had = -math.inf
        for name in names:
            metrics.permits_minted.labels(name)
            metrics.minting.labels(name).set(0)

    def ask(self, granted: Callable[[Permit], None]) -> Callable[[], None]:
        self._questions.append(granted)
        self._wanted.set()

        def withdraw() -> None:
            if granted in self._questions:
                self._questions.remove(granted)

        return withdraw

    def throttled(self, seconds: float) -> None:
        self._pause = max(self._pause, seconds)
        self._wanted.set()

    async def serve(self, broker: Broker) -> None:
        """Take, and where nobody else does it mint, as long as the attachment lives."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(self._take, broker))
            tasks.create_task(self._keep(self._succeed, broker))

    async def _keep(self, doing: Callable[[Broker], Awaitable[None]], broker: Broker) -> None:
        """A channel that is lost alone is opened anew; the one of the other task is left alone, since who is cancelled while a channel closes loses the attachment."""
        while not broker.lost:
            try:
                await broker.declare(permits_topology(self._tenant))
                await doing(broker)
            except BrokerError as error:
                log.warning("permits.interrupted", clients=list(self._names), reason=str(error), again_in_s=RETRY)
            await self._clock.sleep(RETRY)

    async def _take(self, broker: Broker) -> None:
        """One permit after the other for those who asked, in their order."""
        async with broker.channel() as channel:
            while True:
                await self._wanted.wait()
                await self._tell_pause(broker)
                if not self._questions:
                    self._wanted.clear()
                elif (permit := await self._get(channel)) is not None and self._questions:
                    self._questions.popleft()(permit)

    async def _get(self, channel: Channel) -> Permit | None:
        """One that nobody can have used, or None after a while. What was handed out before may have been used; what was long on its way is too old."""
        asked = self._clock.monotonic()
        delivery = await channel.get(permits_queue(self._tenant))
        if delivery is None:
            if asked - self._had > max(UNSERVED, 2 * self._allowance.interval):
                self._missing.set()
            await self._clock.sleep(self._allowance.look * random.uniform(0.75, 1.25))  # noqa: S311 - replicas should not look in step
            return None
        await delivery.ack()
        requests = requests_in(delivery.message.body)
        if not 0 < requests <= self._allowance.most:
            self._refuse(requests)
            return None
        permit = Permit(requests, asked + self._allowance.use)
        if delivery.redelivered or self._clock.monotonic() >= permit.until:
            return None
        self._had = asked
        for name in self._names:
            self._metrics.permits_taken.labels(name).inc(permit.requests)
        return permit

    def _refuse(self, requests: int) -> None:
        self._metrics.refused_state.labels("permit").inc()
        reason = f"a permit is good for 1 to {self._allowance.most} requests: no worker made this one"
        log.error("permit.refused", clients=list(self._names), requests=requests, reason=reason)

    async def _tell_pause(self, broker: Broker) -> None:
        if self._pause:
            seconds, self._pause = self._pause, 0.0
            await broker.publish(pause_message(seconds, self._clock.now()), routing_key=pause_queue(self._tenant))

    async def _succeed(self, broker: Broker) -> None:
        """When permits are missing and nobody mints: mint. A lock that somebody holds is not tried without need, since the broker logs each refusal as an error."""
        while True:
            await self._missing.wait()
            self._missing.clear()
            if not await broker.queue_depth(minted_mark(self._tenant)):
                async with broker.lock(mint_lock(self._tenant)) as mine:
                    if mine:
                        await Mint(self._names, self._tenant, self._allowance, self._clock, self._metrics).run(broker)
            await self._clock.sleep(SUCCESSION * random.uniform(0.75, 1.25))  # noqa: S311 - as above


def requests_in(body: bytes) -> int:
    """How many requests a permit is good for; 0 for what is none."""
    try:
        told = decode(body)["requests"]
    except (Undecodable, KeyError, TypeError):
        return 0
    return told if type(told) is int and told > 0 else 0
