"""Reads a list once for several routes: the others get the answer that one route has just read, without a request.

A scan depends on the order in which pages are read. So a route takes an answer only if it is not older than the one before, and each answer only once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from worker.core.exchange import Exchange, Priority, Request
from worker.core.ports import Reader
from worker.waits import waiting_for

FRESH = 20.0  # seconds; routes with one interval are due within their jitter of at most 10
Name = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class CachedAnswer:
    """An answer, when it came (monotonic seconds), and the routes that have had it."""

    at: float
    exchange: Exchange
    routes: set[str]


@dataclass(slots=True)
class AnswerCache:
    """The answers of the last seconds. `now`: monotonic seconds."""

    now: Callable[[], float]
    answers: dict[Name, CachedAnswer] = field(default_factory=dict)
    _locks: defaultdict[Name, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def lock(self, name: Name) -> asyncio.Lock:
        return self._locks[name]

    def keep(self, name: Name, shared: CachedAnswer) -> None:
        for old in [old for old, found in self.answers.items() if self.now() - found.at >= FRESH]:
            del self.answers[old]
            if old != name:
                del self._locks[old]
        self.answers[name] = shared


class CachingReader:
    """Implements `Reader` for one turn of one route. `begun`: its scan began in an earlier turn, so that no answer may be older than this turn."""

    def __init__(self, route: str, client: str, reader: Reader, shared: AnswerCache, *, begun: bool) -> None:
        self._route = route
        self._client = client
        self._reader = reader
        self._shared = shared
        self._latest = shared.now() if begun else float("-inf")

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """As `Halo.send`."""
        name = (self._client, request.path, tuple(sorted(request.query.items())))
        async with AsyncExitStack() as held:
            with waiting_for("list", f"another route, which reads the same list of client {self._client}"):
                await held.enter_async_context(self._shared.lock(name))
            found = self._shared.answers.get(name)
            if found is not None and self._route not in found.routes and found.at >= max(self._latest, self._shared.now() - FRESH):
                found.routes.add(self._route)
                self._latest = found.at
                return found.exchange
            exchange = await self._reader.send(request, priority=priority)
            self._latest = self._shared.now()
            if exchange.ok:
                self._shared.keep(name, CachedAnswer(self._latest, exchange, {self._route}))
        return exchange
