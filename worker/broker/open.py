"""Attaches to the broker at an address: `amqp://`, `amqps://` or `memory://`. With several addresses, it attaches to the first node that accepts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from worker.broker import memory, rabbitmq
from worker.broker.memory import MemoryServer
from worker.broker.rotation import Rotation
from worker.core.broker_addresses import addresses_of
from worker.core.errors import BrokerUnreachable
from worker.core.ports import Broker

MEMORY = "memory:"


@asynccontextmanager
async def open_broker(
    url: str,
    *,
    name: str,
    server: MemoryServer | None = None,
    heartbeat: int = 10,
    publish_timeout: float = 30.0,
    rotation: Rotation | None = None,
) -> AsyncIterator[Broker]:
    """Attach to a broker. `url`: one address, or several with commas between them, each tried once in turn.

    `server`: the server for `memory://`, which must outlive the attachment. Raises `BrokerUnreachable` with the reason at each address.
    """
    if url.startswith(MEMORY):
        if server is None:
            raise BrokerUnreachable("memory:// exists within one process, and this process has no such broker")
        async with memory.attach(server, name) as embedded:
            yield embedded
        return
    async with AsyncExitStack() as stack:
        refusals = []
        for address in (rotation or Rotation()).round(addresses_of(url)):
            try:
                connecting = rabbitmq.connect(address, name=name, heartbeat=heartbeat, publish_timeout=publish_timeout)
                broker = await stack.enter_async_context(connecting)
            except BrokerUnreachable as error:
                refusals.append(str(error))
            else:
                break
        else:
            raise BrokerUnreachable("; ".join(refusals))
        yield broker
