"""Attaching to the broker that an address names: `amqp://`, `amqps://` or `memory://`; of several addresses, to the first node that takes us."""

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
    """Attach; `url`: one address, or several with commas between them, which are tried in turn, once each.

    `server` is what `memory://` attaches to and must outlive the attachment. Raises `BrokerUnreachable` with what stands in the way at each address.
    """
    if url.startswith(MEMORY):
        if server is None:
            raise BrokerUnreachable("memory:// lives within one process: nothing here holds its server")
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
