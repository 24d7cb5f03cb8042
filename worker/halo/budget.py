"""The request budget of one Halo tenant, which decides the next request to send. All clients of the tenant share it, and through permits all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import structlog
from yarl import URL

from worker.config.routes import Client, RateLimit
from worker.core.allowance import Allowance
from worker.core.ports import Clock, Permits
from worker.halo.permit_pool import PermitPool
from worker.halo.window import Window

FIRST = -1
"""The priority of tokens and probes, for which all other requests wait."""
FAIR_SLOT = 10  # one slot of this many goes to the longest waiting request, so that a flood of writes cannot starve the polls
PAUSE_FIRST = 30.0
PAUSE_LIMIT = 60.0
RETRY_AFTER_LIMIT = 600.0  # Halo's window is five minutes: a longer wait is a mistake of the server or a proxy
MAX_POLL_INTERVAL = 1.0  # seconds within which a waiter notices a returned place

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Waiter:
    priority: int
    number: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class BudgetSlot:
    """The right to send one request. `started` is monotonic. `unused`: no byte left the machine, so its place is free again."""

    started: float
    unused: bool = True
    renewing: ExitStack = field(default_factory=ExitStack)


class Budget:
    """Gives slots within the rate limit: the lowest priority value first, then in order of arrival. `limit` None: no limit, but pauses apply.

    With `permits` each slot takes a permit, except slots for tokens and probes (FIRST). This replica's own window stays as a second guard.
    """

    def __init__(self, tenant: str, limit: RateLimit | None, clock: Clock, permits: Permits | None = None) -> None:
        self._tenant = tenant
        self._clock = clock
        self._requests = None if limit is None else limit.requests
        self._window = None if limit is None else Window(limit.requests, limit.seconds)
        self._permit_pool = None
        if permits is not None and limit is not None:
            self._permit_pool = PermitPool(permits, Allowance.of(limit.requests, limit.seconds).renewal, clock, self._wake_next)
        self._waiters: list[Waiter] = []
        self._numbers = count()
        self._slots_given = 0
        self._paused_until = clock.monotonic()
        self._throttles = 0

    @asynccontextmanager
    async def reserve(self, priority: int) -> AsyncIterator[BudgetSlot]:
        """Acquire a slot for the block, and release it at the end. The slot counts unless the caller sets `unused`."""
        slot = await self.acquire(priority)
        slot.unused = False
        try:
            yield slot
        finally:
            self.release(slot)

    async def acquire(self, priority: int) -> BudgetSlot:
        """Wait for a slot, which keeps its place until `release`. A cancelled waiter takes no slot."""
        if (slot := self.acquire_now(priority)) is not None:
            return slot
        await self._wait(priority)
        return self._begin(priority)

    def acquire_now(self, priority: int) -> BudgetSlot | None:
        """A slot, or None where the caller would have to wait."""
        return None if self._waiters or self._delay() != 0 or not self._permitted(priority) else self._begin(priority)

    def _begin(self, priority: int) -> BudgetSlot:
        slot = BudgetSlot(self._clock.monotonic())
        self._slots_given += 1
        if self._window is not None:
            self._window.start(slot.started)
            if priority != FIRST and self._permit_pool is not None:
                self._permit_pool.consume()
                slot.renewing.enter_context(self._permit_pool.running())
            self._wake_next()
        return slot

    def release(self, slot: BudgetSlot) -> None:
        """Release a slot, once. The place of a slot that was used stays taken for a whole window."""
        if self._window is None:
            return
        slot.renewing.close()
        if slot.unused:
            self._window.give_back()
        else:
            self._window.end(self._clock.monotonic())
        self._wake_next()

    def throttled(self, started: float, retry_after: float | None) -> float:
        """Pause after a 429 to a request whose slot began at `started`. Return the seconds without requests: `retry_after`; without a usable one 30, then 60."""
        now = self._clock.monotonic()
        if now - self._paused_until > PAUSE_LIMIT:
            self._throttles = 0
        if started >= self._paused_until:  # requests already in flight at the first 429 bring no new information
            self._throttles += 1
        seconds = min(retry_after, RETRY_AFTER_LIMIT) if retry_after else min(PAUSE_FIRST * max(1, self._throttles), PAUSE_LIMIT)
        self.pause(seconds)
        left = max(0.0, self._paused_until - now)
        if self._permit_pool is not None:
            self._permit_pool.throttled(left)
        return left

    def pause(self, seconds: float) -> None:
        """Start no request for these seconds. A longer pause stays in force."""
        now = self._clock.monotonic()
        if now + seconds <= self._paused_until:
            return
        if now >= self._paused_until:
            log.warning("budget.paused", tenant=self._tenant, seconds=round(seconds, 1))
        self._paused_until = now + seconds

    @property
    def limit(self) -> int | None:
        """Requests of a window; None where there is no limit."""
        return self._requests

    @property
    def used(self) -> int:
        """Requests that count in the current window."""
        return 0 if self._window is None else self._window.used(self._clock.monotonic())

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def _wait(self, priority: int) -> None:
        waiter = Waiter(priority, next(self._numbers))
        self._waiters.append(waiter)
        try:
            while True:
                waiter.woken.clear()
                if self._next() is not waiter:
                    await waiter.woken.wait()
                    continue
                delay = self._delay()
                if delay is None:
                    await waiter.woken.wait()
                elif delay > 0:
                    await self._clock.sleep(min(delay, MAX_POLL_INTERVAL))
                elif not self._permitted(priority):
                    await waiter.woken.wait()
                else:
                    return
        finally:
            self._waiters.remove(waiter)
            self._wake_next()
            if not self._waiters and self._permit_pool is not None:
                self._permit_pool.cancel_pending()

    def _permitted(self, priority: int) -> bool:
        return priority == FIRST or self._permit_pool is None or self._permit_pool.available()

    def _next(self) -> Waiter:
        if self._slots_given % FAIR_SLOT == FAIR_SLOT - 1:
            return min(self._waiters, key=lambda waiter: (waiter.priority != FIRST, waiter.number))
        return min(self._waiters, key=lambda waiter: (waiter.priority, waiter.number))

    def _wake_next(self) -> None:
        if self._waiters:
            self._next().woken.set()

    def _delay(self) -> float | None:
        now = self._clock.monotonic()
        paused = max(0.0, self._paused_until - now)
        if self._window is None:
            return paused
        delay = self._window.delay(now)
        return None if delay is None else max(paused, delay)


PermitsOf = Callable[[Sequence[str], str, RateLimit], Permits]
"""The permits of a tenant, by the names of its clients, its own name and its limit."""


class Budgets:
    """One budget per tenant: clients of the same host and tenant share it, and the smallest of their limits applies.

    `share`: the part of each limit for this process. `permits`: shares the limits with other replicas (default: each process has its own budget).
    """

    def __init__(self, clients: Iterable[Client], clock: Clock, share: float = 1.0, permits: PermitsOf | None = None) -> None:
        clients = tuple(clients)
        tenants = {client.name: _tenant(client) for client in clients}
        limits: dict[str, RateLimit | None] = {}
        for client in clients:
            tenant = tenants[client.name]
            limits[tenant] = _smaller(limits.get(tenant), _scaled(client.rate_limit, share))
        budgets = {}
        for tenant, limit in limits.items():
            names = sorted(name for name, its in tenants.items() if its == tenant)
            budgets[tenant] = Budget(tenant, limit, clock, permits(names, tenant, limit) if permits is not None and limit is not None else None)
        self._by_client: Mapping[str, Budget] = {name: budgets[tenant] for name, tenant in tenants.items()}

    def of(self, client: Client) -> Budget:
        return self._by_client[client.name]


def _tenant(client: Client) -> str:
    host = URL(client.url or client.api_url or "").host or ""
    return f"{client.tenant}@{host}" if client.tenant else host


def _scaled(limit: RateLimit | None, share: float) -> RateLimit | None:
    return None if limit is None else RateLimit(max(1, int(limit.requests * share)), limit.seconds)


def _smaller(one: RateLimit | None, other: RateLimit | None) -> RateLimit | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda limit: limit.requests / limit.seconds)
