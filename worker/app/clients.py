"""The Halo clients that the routes use, open for as long as the worker runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from worker.config.automation import Runbook
from worker.config.routes import Grant, Routes
from worker.core.health import Health
from worker.core.ports import Clock, Evaluator, Halo
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.lookups.ids import HaloIds
from worker.flows.running.step import StepExecutor, clients_of
from worker.halo.budget import Budgets, PermitsOf
from worker.halo.client import HaloClient, open_client
from worker.halo.interception import Intercept, RequestRecorder, no_interception
from worker.integrations.caller import open_caller
from worker.metrics import Metrics
from worker.settings import Settings

Reload = Callable[[str], Grant]


def used_clients(routes: Routes) -> Iterator[str]:
    """Yield the names of the clients that subscribers, publishers and runbooks use."""
    yield from (route.client for route in routes.subscribers.values())
    yield from (route.client for route in routes.publishers.values())
    for runbook in routes.runbooks.values():
        yield from clients_of(runbook, routes.integrations)


@asynccontextmanager
async def open_clients(
    routes: Routes,
    settings: Settings,
    metrics: Metrics,
    health: Health,
    clock: Clock,
    *,
    names: Iterable[str] | None = None,
    reload: Reload | None = None,
    permits: PermitsOf | None = None,
    intercept: Intercept = no_interception,
) -> AsyncIterator[dict[str, HaloClient]]:
    """Open the clients, by name; clients of one tenant share their rate limit. `names`: only these (default: all that the routes use).

    Without `permits` the clients share no limit with other processes. `intercept` wraps the transport of all requests.
    """
    budgets = Budgets(routes.clients.values(), clock, settings.budget_share, permits)
    async with AsyncExitStack() as stack:
        opened = {}
        for name in sorted(set(used_clients(routes) if names is None else names)):
            again = None if reload is None else partial(reload, name)
            opened[name] = await stack.enter_async_context(
                open_client(routes.clients[name], budgets, metrics, health, clock, reload=again, intercept=intercept)
            )
        yield opened


@asynccontextmanager
async def open_step_executor(
    routes: Routes, settings: Settings, runbooks: Iterable[Runbook], evaluator: Evaluator, clock: Clock, recorder: RequestRecorder | None = None
) -> AsyncIterator[StepExecutor]:
    """Open the executor of these runbooks' steps, for a run outside of the service.

    `evaluator`: the engine's, without tables and ids. With `recorder` writes are recorded instead of sent.
    """
    metrics, intercept = Metrics(), no_interception if recorder is None else recorder.intercept
    names = set().union(*(clients_of(runbook, routes.integrations) for runbook in runbooks))
    async with (
        open_clients(routes, settings, metrics, Health(), clock, names=names, intercept=intercept) as clients,
        open_caller(routes.integrations, clients, LookupEvaluator(evaluator, routes.tables), metrics, clock, intercept=intercept) as caller,
    ):
        yield StepExecutor(caller, clients, lookup_evaluators(evaluator, routes, clients, clock))


def lookup_evaluators(evaluator: Evaluator, routes: Routes, clients: Mapping[str, Halo], clock: Clock) -> dict[str, LookupEvaluator]:
    """Return one evaluator per client: its expressions may use the tables of the routes, and ask this client for ids."""
    return {name: LookupEvaluator(evaluator, routes.tables, HaloIds(halo, clock)) for name, halo in clients.items()}
