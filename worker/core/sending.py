"""Reserves a slot for a request and sends it: once, and once again after a refused token."""

from __future__ import annotations

from worker.core.exchange import Exchange
from worker.core.ports import Reserve


async def send_reserved(reserve: Reserve) -> Exchange:
    """Return the exchange. If nothing could be sent, it has the reason."""
    exchange: Exchange | None = None
    while exchange is None or exchange.stale_token:
        async with reserve(after=exchange) as slot:
            exchange = slot if isinstance(slot, Exchange) else await slot.send()
    return exchange
