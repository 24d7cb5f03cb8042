"""Plans what a run of a runbook causes, with given answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from worker.config.automation import Runbook
from worker.core.entropy import new_id
from worker.core.outcome import Outcome
from worker.core.plan import Plan
from worker.core.ports import Clock, Evaluator
from worker.core.settlement import Bury, Settlement
from worker.flows.local.broker import EventRecorder, LocalBroker
from worker.flows.local.delivery import LocalLedger
from worker.flows.local.following import RunFollower
from worker.flows.running.run_message import Run, iso
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.step import StepExecutor
from worker.halo.interception import RequestRecorder


async def plan_run(
    runbooks: Sequence[Runbook], step_executor: StepExecutor, recorder: RequestRecorder, evaluator: Evaluator, clock: Clock, payload: Any
) -> Plan:
    """Follow a run of the first runbook to its end; the run starts the others. Raises `RunNeverEnds`."""
    run = Run(new_id(), runbooks[0].name, request=payload, started=iso(clock.now()))
    published = EventRecorder()
    broker = LocalBroker(published)
    flows = {runbook.name: (runbook, RunbookFlow(runbook, step_executor, LocalLedger(), evaluator, clock, broker=broker).handle) for runbook in runbooks}
    end = await RunFollower(flows, broker, ignore, clock).follow(run)
    requests, events, unanswered = tuple(recorder.requests), tuple(published.events), tuple(recorder.unanswered)
    if isinstance(end, Bury):
        return Plan("dead", requests, events=events, dead_class=end.dead_class.value, reason=end.reason, unanswered=unanswered)
    if not requests and not events:
        return Plan("skipped", reason="the run ended without a request")
    return Plan("request" if requests else "event", requests, events=events, unanswered=unanswered)


def ignore(_step: str, _outcome: Outcome, _settlement: Settlement, _seconds: float) -> None:
    """Report nothing about a step."""
