"""The evaluator of one route's expressions for commands: with the tables of the route files, and a Halo client that opens when an expression asks for an id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from worker.app.clients import open_clients
from worker.config.routes import Routes
from worker.core.health import Health
from worker.core.lookups import LookupAnswer
from worker.core.ports import Clock, Evaluator
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.lookups.ids import HaloIds
from worker.metrics import Metrics
from worker.settings import Settings


class LazyIds:
    """Implements `Ids`; opens the client with the first lookup, since an open client fetches a token."""

    def __init__(self, stack: AsyncExitStack, routes: Routes, settings: Settings, client: str, clock: Clock) -> None:
        self._stack = stack
        self._routes = routes
        self._settings = settings
        self._client = client
        self._clock = clock
        self._opening = asyncio.Lock()
        self._ids: HaloIds | None = None

    async def find(self, entity: str, members: Mapping[str, Any]) -> LookupAnswer:
        async with self._opening:
            if self._ids is None:
                opening = open_clients(self._routes, self._settings, Metrics(), Health(), self._clock, names=[self._client])
                clients = await self._stack.enter_async_context(opening)
                self._ids = HaloIds(clients[self._client], self._clock)
        return await self._ids.find(entity, members)


@asynccontextmanager
async def open_route_evaluator(routes: Routes, settings: Settings, client: str | None, clock: Clock) -> AsyncIterator[Evaluator]:
    """Open the evaluator. `client`: the client that `$id` asks; None if a route has none."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_evaluator(Limits(settings.expression_memory)))
        ids = LazyIds(stack, routes, settings, client, clock) if client is not None else None
        yield LookupEvaluator(engine, routes.tables, ids)
