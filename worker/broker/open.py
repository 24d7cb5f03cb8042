"""Attaching to the broker that an address names: `amqp://`, `amqps://` or `memory://`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.broker import memory, rabbitmq
from worker.broker.memory import MemoryServer
from worker.core.errors import BrokerUnreachable
from worker.core.ports import Broker

MEMORY = "memory:"


@asynccontextmanager
async def open_broker(url: str, *, name: str, server: MemoryServer | None = None, heartbeat: int = 10, publish_timeout: float = 30.0) -> AsyncIterator[Broker]:
    """Attach; `server` is what `memory://` attaches to and must outlive the attachment. Raises `BrokerUnreachable`."""
    if not url.startswith(MEMORY):
        async with rabbitmq.connect(url, name=name, heartbeat=heartbeat, publish_timeout=publish_timeout) as broker:
            yield broker
    elif server is None:
        raise BrokerUnreachable("memory:// lives within one process: nothing here holds its server")
    else:
        async with memory.attach(server, name) as embedded:
            yield embedded
