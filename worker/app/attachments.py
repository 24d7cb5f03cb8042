"""Attaching to the broker, node after node, with pauses that grow while no node keeps us."""

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
    """`address`: the broker's address, or several, as their file says now; None takes those of the settings. `memory`: what `memory://` attaches to."""

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
        """Host and port that were tried last; `memory` for the embedded broker."""
        return self._rotation.place or "memory"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Broker]:
        """One attachment, to the first node that takes us. Raises `BrokerUnreachable` where none does."""
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

    def beside(self, name: str) -> AbstractAsyncContextManager[Broker]:
        """A connection that says nothing about the worker's own. Raises `BrokerUnreachable`."""
        return self._open(self._url(), name, Rotation())

    def _url(self) -> str:
        return self._settings.amqp_url.get_secret_value() if self._address is None else self._address()

    def _open(self, url: str, name: str, rotation: Rotation) -> AbstractAsyncContextManager[Broker]:
        return open_broker(url, name=name, server=self._memory, heartbeat=self._settings.heartbeat, rotation=rotation)

    def settled(self) -> None:
        """The attachment serves: its loss is the first one."""
        self._pause, self._losses = FIRST_PAUSE, 0

    def lost(self) -> None:
        """The node let us go, and the next one may be tried at once, unless that has been so at every node."""
        self._losses += 1

    async def wait(self, ending: asyncio.Event) -> None:
        """Until the next attempt; less where `ending` is set."""
        if 0 < self._losses < self._known:
            return
        self._losses = 0
        await race(ending.wait(), timeout=self._pause * uniform(0.5, 1.0))
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
