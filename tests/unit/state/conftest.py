"""An embedded broker with one subscriber's state declared."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from worker.broker.memory import MemoryBroker, MemoryServer, attach
from worker.core.topology import baton_topology


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def broker(server: MemoryServer) -> AsyncIterator[MemoryBroker]:
    async with attach(server, "one") as attached:
        yield attached


@pytest.fixture
async def declared(broker: MemoryBroker) -> MemoryBroker:
    await broker.declare(baton_topology("tickets"))
    return broker
