"""Attaches to the broker, one node after the other, with a growing backoff while no node keeps the attachment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.broker.rotation import Rotation
from worker.core.broker_addresses import addresses_of
from worker.core.entropy import uniform
from worker.core.errors import BrokerUnreachable
from worker.core.health import Health
from worker.core.ports import Broker
from worker.flows.waiting import race
from worker.metrics import Metrics
from worker.settings import Settings

logger = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Attachments:
    """Opens attachments to the broker.

    `address`: returns the broker's address, or several, from their file as it is now; None: the addresses of the settings.
    `memory`: the server that `memory://` attaches to.
    """

    def __init__(self, settings: Settings, address: Callable[[], str] | None, memory: MemoryServer | None, health: Health, metrics: Metrics) -> None:
        self._settings = settings
        self._address = address
        self._memory = memory
        self._health = health
        self._metrics = metrics
        self._rotation = Rotation()
        self._pause = FIRST_PAUSE
        self._losses = 0
        self._known = 1

    @property
    def node(self) -> str:
        """Return host and port of the last attempt; `memory` for the embedded broker."""
        return self._rotation.place or "memory"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Broker]:
        """Open one attachment, to the first node that accepts it. Raises `BrokerUnreachable` when no node does."""
        url = self._url()
        self._known = len(addresses_of(url))
        try:
            async with self._open(url, f"halo-worker {self._settings.instance}", self._rotation) as broker:
                self._health.up("broker", "attached")
                self._metrics.broker_up.set(1)
                logger.info("broker.attached", node=self.node)
                yield broker
        except BrokerUnreachable:
            self._losses = 0  # no node is left that may be tried at once
            raise

    def open_secondary(self, name: str) -> AbstractAsyncContextManager[Broker]:
        """Open a second connection: readiness and metrics do not show its state. Raises `BrokerUnreachable`."""
        return self._open(self._url(), name, Rotation())

    def _url(self) -> str:
        return self._settings.amqp_url.get_secret_value() if self._address is None else self._address()

    def _open(self, url: str, name: str, rotation: Rotation) -> AbstractAsyncContextManager[Broker]:
        return open_broker(url, name=name, server=self._memory, heartbeat=self._settings.heartbeat, rotation=rotation)

    def reset_backoff(self) -> None:
        """Reset backoff and counted losses: the attachment serves."""
        self._pause, self._losses = FIRST_PAUSE, 0

    def count_loss(self) -> None:
        """Count a lost attachment. The next attempt is immediate until the number of losses reaches the number of nodes."""
        self._losses += 1

    async def wait(self, ending: asyncio.Event) -> None:
        """Wait until the next attempt, or until `ending` is set."""
        if 0 < self._losses < self._known:
            return
        self._losses = 0
        await race(ending.wait(), timeout=self._pause * uniform(0.5, 1.0))
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
