"""A runbook: each step is a message; the step is taken, then the next one is put, then the old one goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from worker.catalogue.errors import RequestError, WrongType
from worker.config.automation import Runbook, Step, Values
from worker.config.compiled import Condition
from worker.config.mappings import as_text
from worker.core.bodies import read_message
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, CallRefused, ExpressionError, LookupUnanswered, Undecodable
from worker.core.known_secrets import KnownSecrets, secret_texts
from worker.core.ledger import Claim, Entry, Ledger, visit_key, visit_released
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Done, Doubtful, Outcome, Passed, Refused, Skipped, Unsent, releasing
from worker.core.ports import Clock, Evaluator
from worker.core.topology import Topology, work_topology
from worker.core.trace import NO_TRACE, Tracer
from worker.flows.consuming.consumer import Consumption
from worker.flows.evaluating import once_evaluated
from worker.flows.running.run_message import Run, run_queue, start_message, started_by
from worker.flows.running.step import Performer
from worker.flows.running.variables import taken
from worker.flows.writes.attempt import Attempt, Attempts
from worker.flows.writes.guarded_write import unanswered

logger = structlog.get_logger()
START_DELAYS = (10.0, 60.0, 600.0)
PATIENCE = 1.0  # seconds in which the step after one that was delivered again may show that it is finished
PAUSE = 1.0  # seconds that a step stays in hand when it cannot be claimed: it would come back at once
LONGEST_REASON = 1000  # characters; a header that outgrows a frame would cost the connection


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

    def __init__(self, runbook: Runbook, clock: Clock) -> None:
        self._runbook = runbook
        self._clock = clock

    async def handle(self, delivery: Delivery, _: DeliveryState) -> Outcome:
        run_id = started_by(delivery)
        try:
            message = start_message(self._runbook.name, run_id, read_message(delivery.message), self._clock.now())
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        return Passed(message, run_queue(self._runbook.name), f"run {run_id}")


class RunbookFlow:
    """The handler of one runbook's steps."""

    def __init__(
        self,
        runbook: Runbook,
        performer: Performer,
        ledger: Ledger,
        evaluator: Evaluator,
        clock: Clock,
        hide: Callable[[str], str] = str,
        tracer: Tracer = NO_TRACE,
    ) -> None:
        """`hide` masks secrets in a reason that the route makes of an answer."""
        self._hide = hide
        self._runbook = runbook
        self._performer = performer
        self._ledger = ledger
        self._evaluator = evaluator
        self._clock = clock
        self._attempts = Attempts(runbook.name, ledger, clock, tracer)

    async def handle(self, delivery: Delivery, state: DeliveryState) -> Outcome:
        """Take one step. Every way ends in an `Outcome`."""
        try:
            run = Run.read(delivery.message.body)
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        with structlog.contextvars.bound_contextvars(run=run.id, step=run.step):
            if refused := self._foreign(run):  # before anything is claimed for it: a run that is under way must not meet the claim of a forged one
                return refused
            try:
                claim = await self._ledger.claim(visit_key(run.id, run.visit), state.message_id)
                if not await self._is_due(run, claim, redelivered=delivery.redelivered):
                    return Skipped("a copy of a step that is taken already")
            except BrokerError as error:
                await self._clock.sleep(PAUSE)
                return Unsent(f"the step could not be claimed: {error}", counted=False)
            step = self._runbook.steps.get(run.step or "")
            attempt = self._attempts.of(delivery, state, step.retry if step is not None else (), remembered=claim is Claim.AGAIN or state.remembered is True)
            return releasing(await self._taken(run, attempt, state.attempts), Entry(visit_released(run.id, run.visit), state.message_id))

    def _foreign(self, run: Run) -> Refused | None:
        """Why this runbook takes no step of this run."""
        if run.runbook != self._runbook.name:
            return Refused(DeadClass.FAILED, "the run is one of another runbook")
        if run.step is not None and run.step not in self._runbook.steps:
            return Refused(DeadClass.FAILED, f"the runbook has no step {run.step!r} any more")
        ends = run.step is not None and self._runbook.steps[run.step].end is not None
        if run.visit > self._runbook.step_limit and not ends:
            return Refused(DeadClass.FAILED, f"the run has taken {self._runbook.step_limit} steps, which is its limit")
        return None

    async def _is_due(self, run: Run, claim: Claim, *, redelivered: bool) -> bool:
        """Whether this message is to take this step. Raises `BrokerError`.

        It is the first one that claims it, or the same one again, unless the step is finished: then the next one was claimed. Any other message is a copy, but
        for what is put back after the step was buried.
        """
        if claim is Claim.WON:
            return True
        if await self._ledger.knows(visit_key(run.id, run.visit + 1), within=PATIENCE if redelivered else 0.0):
            return False
        return claim is Claim.AGAIN or await self._ledger.knows(visit_released(run.id, run.visit))

    async def _taken(self, run: Run, attempt: Attempt, attempts: int) -> Outcome:
        try:
            return await self._take(run, attempt, attempts)
        except (ExpressionError, Undecodable) as error:
            return Refused(DeadClass.TRANSFORM, f"step {run.step!r}: {error}")

    async def _take(self, run: Run, attempt: Attempt, attempts: int) -> Outcome:
        values = run.values()
        if run.step is None:
            return self._to(run, self._runbook.first, taken(values, self._runbook.input, {"request": run.request}))
        step = self._runbook.steps[run.step]
        if step.end is not None:
            return await ended(step, values, self._evaluator, self._hide)
        if step.method is None and step.action is None:
            return await self._onward(run, step, values)
        try:
            performed = await self._performer.perform(step, values, attempt)
        except (RequestError, CallRefused) as error:
            dead = DeadClass.TRANSFORM if isinstance(error, WrongType) else DeadClass.REJECTED
            return self._failed(run, step, values, await attempt.with_history(Refused(dead, f"not sent: {error}")), attempts)
        except LookupUnanswered as error:
            return self._failed(run, step, values, await attempt.with_history(unanswered(error, doubtful=attempt.doubtful)), attempts)
        if isinstance(performed.outcome, Done):
            return await self._onward(run, step, performed.values, performed.outcome.status)
        return self._failed(run, step, performed.values, performed.outcome, attempts)

    async def _onward(self, run: Run, step: Step, values: Values, status: int | None = None) -> Outcome:
        """To the first branch that holds."""
        if not step.go:
            return Done("the run is done", status)
        for branch in step.go:
            if branch.when is None or await self._holds(branch.when, values):
                return self._to(run, branch.go, values, status)
        return Refused(DeadClass.FAILED, f"no branch of step {step.name!r} holds", status)

    async def _holds(self, when: Condition, values: Values) -> bool:
        """What the step does is done already: it must not go back for want of an evaluator."""
        return await once_evaluated(lambda: when.holds(values.context(), {}, self._evaluator), self._clock)

    def _failed(self, run: Run, step: Step, values: Values, outcome: Outcome, attempts: int) -> Outcome:
        """A failure waits for its retry, goes to `on_failure`, or ends the run; what is in doubt is parked in any case."""
        if isinstance(outcome, (Done, Passed, Skipped)):
            return outcome
        told = replace(outcome, reason=f"step {step.name!r}: {outcome.reason}")
        if isinstance(told, (Unsent, Doubtful)):
            told = replace(told, delays=step.retry if told.delays is None else told.delays)
        if step.on_failure is None or not is_final(told, attempts):
            return told
        logger.warning("step.failed", reason=outcome.reason, status=outcome.status, then=step.on_failure)
        return self._to(run, step.on_failure, replace(values, status=outcome.status), outcome.status)

    def _to(self, run: Run, name: str, values: Values, status: int | None = None) -> Outcome:
        """Raises `Undecodable` when the run has grown too large."""
        return Passed(run.next(name, values).message(), run_queue(self._runbook.name), f"{run.step or 'start'} → {name}", status)


async def ended(step: Step, values: Values, evaluator: Evaluator, hide: Callable[[str], str]) -> Outcome:
    """Raises `ExpressionError`."""
    if step.end == "done":
        return Done("the run is done")
    told = as_text(await step.reason.fill(values, evaluator)) if step.reason is not None else ""
    reason = KnownSecrets(secret_texts(values.variables)).hide(hide(told))
    return Refused(DeadClass.FAILED, reason[:LONGEST_REASON] or f"the run ended at step {step.name!r}")


def is_final(outcome: Unsent | Doubtful | Refused, attempts: int) -> bool:
    """Whether no further attempt follows and no operator has to decide whether it was done."""
    match outcome:
        case Refused(dead_class):
            return dead_class is not DeadClass.IN_DOUBT
        case Doubtful(repeatable=False):
            return False
        case _:
            return outcome.counted and attempts >= len(outcome.delays or ())
