"""Makes plans: opens the clients with a transport that holds writes back, and gives each input to the flow of its route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from worker.app.clients import open_clients
from worker.app.planning.deliveries import plan_delivery
from worker.app.planning.differences import differences_of
from worker.app.planning.messages import plan_message
from worker.app.planning.records import ChangeKind, plan_record
from worker.app.planning.runs import plan_run
from worker.config.automation import Runbook, Webhook
from worker.config.config_node import Table
from worker.config.method_caller import Caller
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.answers import Answers
from worker.core.clock import SystemClock
from worker.core.entropy import new_id
from worker.core.errors import Undecodable
from worker.core.health import Health
from worker.core.json_codec import decode
from worker.core.ledger import Ledger
from worker.core.message import Message
from worker.core.plan import Plan
from worker.core.ports import Clock, Evaluator, Halo
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.lookups.ids import HaloIds
from worker.flows.running.starting import with_started
from worker.flows.running.step import StepExecutor, clients_of
from worker.halo.budget import Budgets
from worker.halo.client import open_client
from worker.halo.interception import RequestRecorder, offline_client, offline_transport
from worker.integrations.caller import open_caller
from worker.metrics import Metrics
from worker.settings import Settings

Route = Publisher | Subscriber | Webhook | Runbook
NO_HEADERS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class PlanInput:
    """One message, record, delivery or payload, as its JSON text."""

    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)
    routing_key: str = ""
    change: ChangeKind = "created"


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans. `asks`: reads go to Halo. It plans one input at a time, because all inputs share the recorder."""

    clients: Mapping[str, Halo]
    caller: Caller
    recorder: RequestRecorder
    engine: Evaluator
    tables: Mapping[str, Table]
    clock: Clock
    runbooks: Mapping[str, Runbook] = field(default_factory=dict)
    asks: bool = False
    _remembering: dict[str, LookupEvaluator] = field(default_factory=dict)

    async def plan(self, route: Route, given: PlanInput, ledger: Ledger, answers: Answers | None = None) -> Plan:
        """Return the plan of one input. `ledger`: the claims of earlier inputs. Raises `PlanFailed`, `EvaluatorUnavailable`."""
        self.recorder.begin(answers)
        match route:
            case Publisher():
                message = Message(given.body, given.headers, message_id=new_id())
                halo = self.clients[route.client]
                plan = await plan_message(route, halo, self.recorder, ledger, self._evaluator(route.client), self.clock, message, given.routing_key)
                return await self._compared(route, plan) if self.asks else plan
            case Subscriber():
                source = self.clients[route.client].source(route.operation.path)
                return await plan_record(route, source, self._evaluator(route.client), self.clock, json_or_none(given), given.change)
            case Webhook():
                return await plan_delivery(route, LookupEvaluator(self.engine, self.tables), self.clock, json_or_none(given))
            case Runbook():
                step_executor = StepExecutor(self.caller, self.clients, {name: self._evaluator(name) for name in self.clients})
                return await plan_run(
                    with_started([route], self.runbooks),
                    step_executor,
                    self.recorder,
                    LookupEvaluator(self.engine, self.tables),
                    self.clock,
                    json_or_none(given),
                )

    def _evaluator(self, client: str) -> LookupEvaluator:
        """Return the client's evaluator. With `asks` it is kept, and remembers Halo's ids; the ids of an example serve that example only."""
        if client in self._remembering:
            return self._remembering[client]
        made = LookupEvaluator(self.engine, self.tables, HaloIds(self.clients[client], self.clock))
        if self.asks:
            self._remembering[client] = made
        return made

    async def _compared(self, route: Publisher, plan: Plan) -> Plan:
        """Return the plan with the changes that its writes make in Halo."""
        sent, halo = len(self.recorder.requests), self.clients[route.client]
        differences = [found for request in plan.requests if request.writes for found in await differences_of(halo, route.operation, request)]
        return replace(plan, diff=differences, asked=tuple(self.recorder.requests[sent:]))


def json_or_none(given: PlanInput) -> Any:
    """Return the JSON value; None for invalid JSON: the flows refuse it like any other wrong value."""
    try:
        return decode(given.body)
    except Undecodable:
        return None


def clients_used(routes: Routes, used: Iterable[Route]) -> set[str]:
    """The clients that these routes send to."""
    found: set[str] = set()
    for route in used:
        found |= clients_of(route, routes.integrations) if isinstance(route, Runbook) else set() if isinstance(route, Webhook) else {route.client}
    return found


@asynccontextmanager
async def open_planner(
    routes: Routes, settings: Settings, used: Iterable[Route], evaluator: Evaluator, clock: Clock, *, asks: bool = False, strict: bool = False
) -> AsyncIterator[Planner]:
    """Open a planner for these routes. Without `asks` nothing connects. `strict`: report requests that examples do not answer."""
    recorder, metrics, real = RequestRecorder(reads=asks, strict=strict), Metrics(), SystemClock()
    used = (
        *(route for route in used if not isinstance(route, Runbook)),
        *with_started((route for route in used if isinstance(route, Runbook)), routes.runbooks),
    )
    names = clients_used(routes, used)
    async with AsyncExitStack() as stack:
        if asks:
            opening = open_clients(routes, settings, metrics, Health(), real, names=names, intercept=recorder.intercept)
            clients = await stack.enter_async_context(opening)
        else:
            offline = {name: offline_client(client) for name, client in routes.clients.items()}
            budgets, clients = Budgets(offline.values(), real), {}
            for name in sorted(names):
                opened = open_client(offline[name], budgets, metrics, Health(), real, transport=offline_transport, intercept=recorder.intercept)
                clients[name] = await stack.enter_async_context(opened)
        needed = {step.method.integration for route in used if isinstance(route, Runbook) for step in route.steps.values() if step.method is not None}
        bare = {name: routes.integrations[name].offline() for name in sorted(needed)}
        caller = await stack.enter_async_context(
            open_caller(bare, clients, LookupEvaluator(evaluator, routes.tables), metrics, real, intercept=recorder.intercept)
        )
        yield Planner(clients, caller, recorder, evaluator, routes.tables, clock, routes.runbooks, asks)
