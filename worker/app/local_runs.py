"""Runs of a runbook in this process: everything is real except the queues of its steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.app.clients import open_step_executor
from worker.broker.open import open_broker
from worker.config.automation import Runbook
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.ports import Publishing
from worker.core.topology import Topology, event_exchange
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.local.broker import EventRecorder, LocalBroker
from worker.flows.local.delivery import LocalLedger
from worker.flows.local.following import OnStep, RunFollower
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.starting import with_started
from worker.halo.interception import RequestRecorder
from worker.settings import Settings


@asynccontextmanager
async def open_follower(
    routes: Routes, settings: Settings, runbook: Runbook, on_step: OnStep, recorder: RequestRecorder | None = None, events: EventRecorder | None = None
) -> AsyncIterator[RunFollower]:
    """Open the follower of runs of this runbook and of the runbooks that it starts. `recorder` records writes, `events` records messages, and no step waits.

    Raises `BrokerUnreachable` where a step publishes and there is no broker.
    """
    runbooks, clock = with_started([runbook], routes.runbooks), SystemClock()
    exchanges = sorted({exchange for each in runbooks for exchange in each.outlets})
    async with (
        open_evaluator(Limits(settings.expression_memory)) as evaluator,
        open_step_executor(routes, settings, runbooks, evaluator, clock, recorder) as step_executor,
        open_exchanges(settings, exchanges, events) as publishing,
    ):
        broker = LocalBroker(publishing)
        flows = {
            each.name: (each, RunbookFlow(each, step_executor, LocalLedger(), evaluator, clock, routes.filled.hide, broker=broker).handle) for each in runbooks
        }
        yield RunFollower(flows, broker, on_step, clock, pauses=events is None)


@asynccontextmanager
async def open_exchanges(settings: Settings, exchanges: list[str], events: EventRecorder | None) -> AsyncIterator[Publishing]:
    """Open the publisher for these exchanges. Without exchanges nothing connects."""
    if events is not None or not exchanges:
        yield events or EventRecorder()
        return
    async with open_broker(settings.amqp_url.get_secret_value(), name="halo-worker start", heartbeat=settings.heartbeat) as broker:
        await broker.declare(Topology(tuple(map(event_exchange, exchanges))))
        yield broker
