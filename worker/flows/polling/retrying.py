"""Reads from Halo for a poll, and repeats a read that failed by chance: of a list of 500 pages one answer is likely to be lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ports import Clock, Halo
from worker.flows.waiting import race
from worker.waits import waiting_for

logger = structlog.get_logger()
PAUSES = (0.5, 2.0, 5.0)  # seconds before the second, third and fourth attempt
AWAY_WAIT = 20.0  # seconds that a read waits while Halo as a whole is away; a longer outage fails the poll
TRANSIENT_STATUSES = frozenset({RequestResult.AMBIGUOUS, RequestResult.DONE_UNREAD, RequestResult.THROTTLED})
UNDONE = frozenset({RequestResult.NOT_SENT, RequestResult.THROTTLED})
STOPPED = "the worker stopped before the read was repeated"


class RetryingReader:
    """Implements `Reader` through a client. Every attempt takes its turn in the request budget."""

    def __init__(self, halo: Halo, clock: Clock, stop: asyncio.Event) -> None:
        self._halo = halo
        self._clock = clock
        self._stop = stop

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """Return the first exchange that is conclusive, or the last one. After `stop` the exchange is NOT_SENT and not `down`."""
        exchange = await self._halo.send(request, priority=priority)
        for attempt, pause in enumerate(PAUSES, start=2):
            if not is_transient(exchange) or (request.method != "GET" and exchange.result not in UNDONE):
                return exchange  # a report that was sent is not sent again in this poll: it may take Halo a minute each time
            logger.warning("read.repeated", path=request.path, attempt=attempt, status=exchange.status, reason=exchange.reason)
            await self._wait(exchange, pause)
            if self._stop.is_set():
                return replace(exchange, result=RequestResult.NOT_SENT, down=False, reason=STOPPED)
            if not self._halo.available:
                return exchange
            exchange = await self._halo.send(request, priority=priority)
        return exchange

    async def _wait(self, exchange: Exchange, pause: float) -> None:
        if exchange.down:
            with waiting_for("halo", f"Halo, which client {self._halo.name} cannot use"):
                await race(self._halo.wait_available(), self._stop.wait(), timeout=AWAY_WAIT)
        elif exchange.result is not RequestResult.THROTTLED:  # after a 429 the budget itself waits
            with waiting_for("retry", f"the next attempt of a read that failed: {exchange.reason}"):
                await race(self._clock.sleep(pause), self._stop.wait())


def is_transient(exchange: Exchange) -> bool:
    """Return whether the same read may succeed at once: timeouts, 5xx, lost or cut answers, web pages, 429, and an outage that has just begun."""
    return (exchange.result in TRANSIENT_STATUSES or (exchange.result is RequestResult.NOT_SENT and exchange.down)) and not exchange.oversized
