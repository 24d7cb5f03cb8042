"""Sends a request that is reserved first: once, and once more after a refused token."""

from __future__ import annotations

from worker.core.exchange import Exchange
from worker.core.ports import Reserve


async def send_reserved(reserve: Reserve) -> Exchange:
    """The exchange, or the one that says why nothing could be sent."""
    exchange: Exchange | None = None
    while exchange is None or exchange.stale_token:
        async with reserve(after=exchange) as slot:
            exchange = slot if isinstance(slot, Exchange) else await slot.send()
    return exchange
