"""What a run of a runbook causes, with given answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from worker.config.automation import Runbook
from worker.core.entropy import new_id
from worker.core.outcome import Outcome
from worker.core.plan import Plan
from worker.core.ports import Clock, Evaluator
from worker.core.settlement import Bury, Settlement
from worker.flows.local.delivery import LocalLedger
from worker.flows.local.following import RunFollower
from worker.flows.running.run_message import Run
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.step import Performer
from worker.halo.interception import RequestRecorder


async def plan_run(runbook: Runbook, performer: Performer, recorder: RequestRecorder, evaluator: Evaluator, clock: Clock, payload: Any) -> Plan:
    """Follow the run to its end. Raises `RunNeverEnds`."""
    run = Run(new_id(), runbook.name, request=payload, started=datetime.fromtimestamp(clock.now(), UTC).isoformat())
    flow = RunbookFlow(runbook, performer, LocalLedger(), evaluator, clock)
    end = await RunFollower(runbook, flow.handle, ignore, clock).follow(run)
    requests, unanswered = tuple(recorder.requests), tuple(recorder.unanswered)
    if isinstance(end, Bury):
        return Plan("dead", requests, dead_class=end.dead_class.value, reason=end.reason, unanswered=unanswered)
    if not requests:
        return Plan("skipped", reason="the run ended without a request")
    return Plan("request", requests, unanswered=unanswered)


def ignore(_step: str, _outcome: Outcome, _settlement: Settlement, _seconds: float) -> None:
    """Tell nothing of a step."""
