"""Finds the customer of a call, and limits the calls in flight of each customer: a customer whose API hangs does not take the places of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from worker.config.automation import Integration, Method
from worker.config.run_values import Values
from worker.core.errors import ExpressionError
from worker.core.exchange import Exchange, RequestResult
from worker.core.lookups import key_text
from worker.core.ports import Clock, Evaluator
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.slot import STOPPED

CALL_WAIT = 10.0  # seconds for which a call waits while no call of its customer ends
RETRY_DELAY = 30.0  # seconds after which the worker tries the call again


async def customer_of(integration: Integration, method: Method, values: Values, evaluator: Evaluator) -> Integration:
    """Return the integration, or with customers that of the call's customer. Raises `ExpressionError`, which quotes no key, and `EvaluatorUnavailable`."""
    customers = integration.customers
    if customers is None:
        return integration
    key = key_text(await method.row.fill(values, evaluator)) if method.row is not None else None
    if key is None:
        raise ExpressionError(f"{method.full_name}: `customers.row` yields no key, which is a text or a number")
    if key not in customers.rows:
        raise ExpressionError(f"{method.full_name}: the table `{customers.table}` has no such row")
    return customers.rows[key]


@dataclass(slots=True)
class CustomerSlots:
    """The places of one customer, in one worker. `most`: maximum calls in flight."""

    most: int
    clock: Clock
    shutdown: ShutdownGate
    _places: asyncio.Semaphore = field(init=False)
    _moved: float = field(init=False)
    """The time at which a call last began or ended."""

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.most)
        self._moved = self.clock.monotonic()

    @asynccontextmanager
    async def reserve(self, integration: Integration) -> AsyncIterator[Exchange | None]:
        """Yield None with a place. Yield an exchange without one: no call of this customer ended for `CALL_WAIT` seconds, or the worker stops."""
        try:
            async with self.shutdown.wait():
                taken = await self._take()
        except TimeoutError:
            yield Exchange(RequestResult.NOT_SENT, reason=STOPPED, down=True)
            return
        if not taken:
            reason = f"{self.most} calls of this customer of `{integration.name}` are under way, and none has ended for {CALL_WAIT:.0f} s (`customers.at_once`)"
            yield Exchange(RequestResult.THROTTLED, reason=reason, retry_after=RETRY_DELAY)
            return
        self._moved = self.clock.monotonic()
        try:
            yield None
        finally:
            self._moved = self.clock.monotonic()
            self._places.release()

    async def _take(self) -> bool:
        while self._places.locked():
            left = self._moved + CALL_WAIT - self.clock.monotonic()
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(left):
                    await self._places.acquire()
            except TimeoutError:
                continue
            return True
        await self._places.acquire()
        return True
