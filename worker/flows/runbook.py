"""A runbook: each step is a message; the step is taken, then the next one is put, then the old one goes."""

from __future__ import annotations

from dataclasses import replace

import structlog

from worker.catalogue.errors import RequestError
from worker.config.automation import Runbook, Step, Values
from worker.core.errors import BrokerError, CallRefused, ExpressionError, Undecodable
from worker.core.jsontext import decode
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Done, Doubtful, Outcome, Passed, Refused, Skipped, Unsent
from worker.core.ports import Claim, Claims
from worker.core.topology import Topology, work_topology
from worker.flows.consumer import Consumption
from worker.flows.envelope import Envelope
from worker.flows.run_message import Run, run_queue, start_message, started_by
from worker.flows.step import Performer
from worker.flows.variables import taken

logger = structlog.get_logger()
START_DELAYS = (10.0, 60.0, 600.0)


def runbook_topology(runbook: Runbook) -> Topology:
    """The queue of its steps, and the one that starts it where it has one, each with its companions."""
    steps = work_topology(run_queue(runbook.name), runbook.delays)
    return steps if runbook.queue is None else steps + work_topology(runbook.queue, START_DELAYS)


def step_consumption(runbook: Runbook) -> Consumption:
    return Consumption(runbook.name, run_queue(runbook.name), runbook.concurrency, runbook.delays, f"runbook {runbook.name}")


def start_consumption(runbook: Runbook, queue: str) -> Consumption:
    return Consumption(runbook.name, queue, runbook.concurrency, START_DELAYS, f"runbook {runbook.name} (starts)")


class Starter:
    """The handler of the queue that starts a runbook: any JSON becomes the starting payload of a run."""

    def __init__(self, runbook: Runbook) -> None:
        self._runbook = runbook

    async def handle(self, delivery: Delivery, _: Envelope) -> Outcome:
        try:
            request = decode(delivery.message.body)
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        run_id = started_by(delivery)
        return Passed(start_message(self._runbook.name, run_id, request), run_queue(self._runbook.name), f"run {run_id}")


class RunbookFlow:
    """The handler of one runbook's steps."""

    def __init__(self, runbook: Runbook, performer: Performer, claims: Claims) -> None:
        self._runbook = runbook
        self._performer = performer
        self._claims = claims

    async def handle(self, delivery: Delivery, envelope: Envelope) -> Outcome:
        """Take one step. Every way ends in an `Outcome`."""
        try:
            run = Run.read(delivery.message.body)
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        with structlog.contextvars.bound_contextvars(run=run.id, step=run.step or self._runbook.first):
            try:
                if await self._claims.claim(f"run:{run.id}:{run.visit}", envelope.message_id) is Claim.TAKEN:
                    return Skipped("a copy of a step that is taken already")
            except BrokerError as error:
                return Unsent(f"the step could not be claimed: {error}", counted=False)
            try:
                return await self._take(run, envelope)
            except (ExpressionError, Undecodable) as error:
                return Refused(DeadClass.TRANSFORM, f"step {run.step or self._runbook.first!r}: {error}")
            except (RequestError, CallRefused) as error:
                return self._failed(run, self._step(run), run.values(), Refused(DeadClass.REJECTED, f"not sent: {error}"), envelope)

    def _step(self, run: Run) -> Step | None:
        return self._runbook.steps.get(run.step or self._runbook.first)

    async def _take(self, run: Run, envelope: Envelope) -> Outcome:
        values, step = run.values(), self._step(run)
        if run.step is None:
            values = taken(values, self._runbook.input, {"request": run.request})
        if step is None:
            return Refused(DeadClass.FAILED, f"the runbook has no step {run.step!r} any more")
        if run.visit >= self._runbook.step_limit:
            return Refused(DeadClass.FAILED, f"the run has taken {self._runbook.step_limit} steps, which is its limit")
        if step.end is not None:
            return self._end(step, values)
        if step.method is None and step.action is None:
            return self._onward(run, step, values)
        performed = await self._performer.perform(step, values, doubtful=envelope.doubtful)
        if isinstance(performed.outcome, Done):
            return self._onward(run, step, performed.values, performed.outcome.status)
        return self._failed(run, step, performed.values, performed.outcome, envelope)

    def _end(self, step: Step, values: Values) -> Outcome:
        if step.end == "done":
            return Done("the run is done")
        reason = step.reason.fill(values) if step.reason is not None else None
        return Refused(DeadClass.FAILED, str(reason or f"the run ended at step {step.name!r}"))

    def _onward(self, run: Run, step: Step, values: Values, status: int | None = None) -> Outcome:
        """To the first branch that holds."""
        if not step.go:
            return Done("the run is done", status)
        for branch in step.go:
            if branch.when is None or branch.when.holds(values.context(), {}):
                return self._to(run, step, branch.go, values, status)
        return Refused(DeadClass.FAILED, f"no branch of step {step.name!r} holds", status)

    def _failed(self, run: Run, step: Step | None, values: Values, outcome: Outcome, envelope: Envelope) -> Outcome:
        """A failure waits for its retry, goes to `on_failure`, or ends the run; what is in doubt is parked in any case."""
        if step is None or isinstance(outcome, (Done, Passed, Skipped)):
            return outcome
        if isinstance(outcome, (Unsent, Doubtful)):
            planned = replace(outcome, delays=step.retry)
            final = outcome.counted and envelope.attempts >= len(step.retry)
            if not final or (isinstance(outcome, Doubtful) and not outcome.repeatable) or step.on_failure is None:
                return planned
        if isinstance(outcome, Refused) and (outcome.dead_class is DeadClass.IN_DOUBT or step.on_failure is None):
            return outcome
        logger.warning("step.failed", reason=outcome.reason, status=outcome.status, then=step.on_failure)
        return self._to(run, step, step.on_failure or "", replace(values, status=outcome.status), outcome.status)

    def _to(self, run: Run, step: Step, name: str, values: Values, status: int | None) -> Outcome:
        message = run.next(name, values).message()
        return Passed(message, run_queue(self._runbook.name), f"{step.name} → {name}", status)
