"""Whether Halo can be used through a client. Consumers check it before they take work."""

from __future__ import annotations

import asyncio

import structlog

from worker.core.health import Health
from worker.metrics import Metrics

log = structlog.get_logger()


class Circuit:
    """Unavailable until the first token. Reports each change to health, metrics and the log."""

    def __init__(self, name: str, health: Health, metrics: Metrics) -> None:
        self._name = name
        self._health = health
        self._metrics = metrics
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()
        self.reason = ""
        """Why it is broken; empty while it is not, as at the start."""
        health.expect(self._part)
        metrics.client_up.labels(name).set(0)

    @property
    def available(self) -> bool:
        return self._up.is_set()

    @property
    def broken(self) -> bool:
        return bool(self.reason)

    async def wait_available(self) -> None:
        await self._up.wait()

    async def wait_unavailable(self) -> None:
        await self._down.wait()

    def open(self, reason: str) -> None:
        if reason != self.reason:
            log.warning("client.down", client=self._name, reason=reason)
        self.reason = reason
        self._up.clear()
        self._down.set()
        self._health.down(self._part, reason)
        self._metrics.client_up.labels(self._name).set(0)

    def close(self) -> None:
        if self.available:
            return
        log.info("client.up", client=self._name)
        self.reason = ""
        self._down.clear()
        self._up.set()
        self._health.up(self._part, "Halo answers and gives tokens")
        self._metrics.client_up.labels(self._name).set(1)

    @property
    def _part(self) -> str:
        return f"client {self._name}"
