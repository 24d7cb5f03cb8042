"""Runs a runbook. Each step is a message: the worker takes the step, publishes the next one, then acknowledges the old one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog

from worker.catalogue.errors import RequestError, WrongType
from worker.config.automation import Runbook, Step
from worker.config.compiled import Condition
from worker.config.control_steps import ForEach, SubRunbook
from worker.config.mappings import as_text
from worker.config.run_values import Values
from worker.core.bodies import LARGE
from worker.core.compressed_content import compressed_content_memory
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, CallRefused, ExpressionError, LookupUnanswered, Undecodable
from worker.core.known_secrets import KnownSecrets, secret_texts
from worker.core.lanes import RunBroker
from worker.core.ledger import Claim, Ledger, LedgerEntry, visit_key, visit_released
from worker.core.message import Delivery
from worker.core.outcome import ARROW, Ambiguous, Continue, DeadClass, Done, NotSent, Outcome, Refused, Skipped, releasing
from worker.core.ports import Clock, Evaluator
from worker.core.spans import span
from worker.core.trace import NO_TRACE, Tracer
from worker.flows.evaluating import once_evaluated
from worker.flows.running.endings import MAX_REASON, failure_message, is_final, success_message
from worker.flows.running.iterating import ElementFailed, IterationDone, Iterator
from worker.flows.running.publishing import publish
from worker.flows.running.run_message import ChildResult, Run, run_queue
from worker.flows.running.starting import starting_values, sub_run
from worker.flows.running.step import StepExecutor, StepResult
from worker.flows.running.variables import with_variables
from worker.flows.writes.attempt import Attempt, Attempts
from worker.flows.writes.guarded_write import unanswered
from worker.threads import in_thread

logger = structlog.get_logger()
CLAIM_WAIT = 1.0  # seconds within which the claim of the next step may show that a redelivered step is finished
PAUSE = 1.0  # seconds for which the worker holds a step that it cannot claim: otherwise the step would come back at once


class RunbookFlow:
    """The handler of one runbook's steps."""

    def __init__(
        self,
        runbook: Runbook,
        step_executor: StepExecutor,
        ledger: Ledger,
        evaluator: Evaluator,
        clock: Clock,
        hide: Callable[[str], str] = str,
        tracer: Tracer = NO_TRACE,
        *,
        broker: RunBroker,
    ) -> None:
        """`hide` masks secrets in a failure reason that the route builds from an answer."""
        self._hide = hide
        self._runbook = runbook
        self._step_executor = step_executor
        self._ledger = ledger
        self._evaluator = evaluator
        self._clock = clock
        self._broker = broker
        self._iterator = Iterator(runbook, ledger, broker, evaluator)
        self._attempts = Attempts(runbook.name, ledger, clock, tracer)

    async def handle(self, delivery: Delivery, state: DeliveryState) -> Outcome:
        """Take one step. Always returns an `Outcome`."""
        try:
            body = delivery.message.body
            run = Run.read(body) if len(body) <= LARGE and not compressed_content_memory(delivery) else await in_thread(partial(Run.read, body))
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        with structlog.contextvars.bound_contextvars(run=run.id, step=run.step):
            if refused := self._foreign(run):  # before any claim: a run that is under way must not meet the claim of a forged message
                return refused
            try:
                claim = await self._ledger.claim(visit_key(run.id, run.visit), state.message_id)
                if not await self._is_due(run, claim, redelivered=delivery.redelivered):
                    return Skipped("another copy of this step is done or under way")
            except BrokerError as error:
                await self._clock.sleep(PAUSE)
                return NotSent(f"the step could not be claimed: {error}", counted=False)
            step = self._runbook.steps.get(run.step or "")
            attempt = self._attempts.of(delivery, state, step.retry if step is not None else (), remembered=claim is Claim.AGAIN or state.remembered is True)
            return releasing(await self._take_and_report(run, attempt, state.attempts), LedgerEntry(visit_released(run.id, run.visit), state.message_id))

    def _foreign(self, run: Run) -> Refused | None:
        """Return why this runbook takes no step of this run; None if it does."""
        if run.runbook != self._runbook.name:
            return Refused(DeadClass.FAILED, "the run belongs to another runbook")
        if run.step is not None and run.step not in self._runbook.steps:
            return Refused(DeadClass.FAILED, f"the runbook has no step {run.step!r} any more")
        return None

    async def _is_due(self, run: Run, claim: Claim, *, redelivered: bool) -> bool:
        """Whether this message must take this step. Raises `BrokerError`.

        True for the first message that claims the step. True for the same message again, unless the step is finished: then the next step was claimed. Any other
        message is a copy, except a message that is put back after the step was buried.
        """
        if claim is Claim.WON:
            return True
        if await self._ledger.knows(visit_key(run.id, run.visit + 1), within=CLAIM_WAIT if redelivered else 0.0):
            return False
        return claim is Claim.AGAIN or await self._ledger.knows(visit_released(run.id, run.visit))

    async def _take_and_report(self, run: Run, attempt: Attempt, attempts: int) -> Outcome:
        """Take the step; pass a final failure to a caller that catches it.

        If no caller catches a failure, it stays here with all the runs, and its replay goes on from this step.
        """
        try:
            try:
                outcome = await self._take(run, attempt, attempts)
            except ExpressionError as error:
                outcome = Refused(DeadClass.TRANSFORM, f"step {run.step!r}: {error}")
            return failure_message(run, outcome, attempts)
        except Undecodable as error:
            return Refused(DeadClass.TRANSFORM, f"step {run.step!r}: {error}")

    async def _take(self, run: Run, attempt: Attempt, attempts: int) -> Outcome:
        if run.step is None:
            return self._to(run, self._runbook.first, starting_values(self._runbook, run))
        step, values = self._runbook.steps[run.step], run.values()
        if run.steps > self._runbook.step_limit and step.end is None:
            return Refused(DeadClass.FAILED, f"the run has taken {self._runbook.step_limit} steps, which is its limit")
        match step:
            case Step(end=str()):
                return await self._ended(run, step, values)
            case Step(wait=float() as seconds):
                outcome = await self._take_branch(run, step, values)
                return replace(outcome, delay=seconds) if isinstance(outcome, Continue) else outcome
            case Step(set=template) if template is not None:
                found = await template.fill(values, self._evaluator)
                kept = {name: value for name, value in values.variables.items() if name not in step.sets}
                return await self._take_branch(run, step, replace(values, variables=kept | found, plain=values.plain | found.keys()))
            case Step(start=SubRunbook() as started):
                return await self._start(run, step, started, values, attempts)
            case Step(each=ForEach() as each):
                return await self._iterate(run, step, each, attempts)
            case Step(method=None, action=None, publish=None):
                return await self._take_branch(run, step, values)
            case _:
                return await self._perform(run, step, values, attempt, attempts)

    async def _perform(self, run: Run, step: Step, values: Values, attempt: Attempt, attempts: int) -> Outcome:
        """Send the request or the message of a step, and go on by its outcome."""
        try:
            with span(f"step {step.name}", attributes={"halo.route": run.runbook, "halo.run": run.id, "halo.visit": run.visit}):
                if step.publish is not None:
                    performed = StepResult(await publish(step.publish, run, values, self._broker, self._evaluator, self._clock), values)
                else:
                    performed = await self._step_executor.perform(step, values, attempt)
        except (RequestError, CallRefused) as error:
            dead = DeadClass.TRANSFORM if isinstance(error, WrongType) else DeadClass.REJECTED
            return self._failed(run, step, values, await attempt.with_history(Refused(dead, f"not sent: {error}")), attempts)
        except LookupUnanswered as error:
            return self._failed(run, step, values, await attempt.with_history(unanswered(error, doubtful=attempt.doubtful)), attempts)
        if isinstance(performed.outcome, Done):
            return await self._take_branch(run, step, performed.values, performed.outcome.status)
        return self._failed(run, step, performed.values, performed.outcome, attempts)

    async def _start(self, run: Run, step: Step, started: SubRunbook, values: Values, attempts: int) -> Outcome:
        """Start another runbook. The run goes on at once, or when the other run has ended."""
        if run.returned is not None:
            return await self._returned(run, step, run.returned, attempts)
        child = await sub_run(started, run, step, values, self._evaluator, self._clock)
        if isinstance(child, Refused):
            return self._failed(run, step, values, child, attempts)
        if started.waits:
            return Continue(child.message(), run_queue(child.runbook), f"{step.name}{ARROW}runbook {child.runbook}")
        try:
            await self._broker.publish(child.message(), routing_key=run_queue(child.runbook))
        except BrokerError as error:
            return await self._later(error)
        return await self._take_branch(run, step, values)

    async def _returned(self, run: Run, step: Step, ended: ChildResult, attempts: int) -> Outcome:
        """Go on after the other run: its variables are the response."""
        values = run.values()
        if ended.failure is not None or ended.run is None:
            failure = ended.failure
            failed = (
                Refused(DeadClass.FAILED, "its run ended without a result")
                if failure is None
                else Refused(DeadClass(failure.dead_class), failure.reason, failure.status)
            )
            return self._failed(run, step, values, replace(failed, reason=f"runbook {step.start.runbook if step.start else ''!s}: {failed.reason}"), attempts)
        answered = replace(values, status=None, response=dict(ended.run.variables))
        documents = {"response": answered.response, "request": answered.request}
        return await self._take_branch(run, step, with_variables(answered, step.output, documents))

    async def _iterate(self, run: Run, step: Step, each: ForEach, attempts: int) -> Outcome:
        try:
            progress = await self._iterator.progress(run, step, each)
        except BrokerError as error:
            return await self._later(error)
        match progress:
            case IterationDone(whole, values):
                return await self._take_branch(whole, step, values)
            case ElementFailed(whole, failure, index):
                refused = Refused(DeadClass(failure.dead_class), f"element {index}: {failure.reason}", failure.status)
                return self._failed(whole, step, whole.values(), refused, attempts)
            case outcome:
                return outcome

    async def _later(self, error: BrokerError) -> NotSent:
        """Return the outcome after a `BrokerError`. The step is taken again as soon as the broker allows: its messages so far are then copies."""
        await self._clock.sleep(PAUSE)
        return NotSent(str(error), counted=False)

    async def _take_branch(self, run: Run, step: Step, values: Values, status: int | None = None) -> Outcome:
        """Go to the first branch whose condition holds."""
        if not step.go:
            return self._end_run(run, values, status)
        for branch in step.go:
            if branch.when is None or await self._holds(branch.when, values):
                return self._to(run, branch.go, values, status)
        return Refused(DeadClass.FAILED, f"no branch of step {step.name!r} holds", status)

    async def _holds(self, when: Condition, values: Values) -> bool:
        """Whether the condition holds. The step's work is done already: it must not go back, so this waits until an evaluator is available."""
        return await once_evaluated(lambda: when.holds(values.context(), {}, self._evaluator), self._clock)

    async def _ended(self, run: Run, step: Step, values: Values) -> Outcome:
        """Raises `ExpressionError`."""
        if step.end == "done":
            return self._end_run(run, values)
        text = as_text(await step.reason.fill(values, self._evaluator)) if step.reason is not None else ""
        reason = KnownSecrets(secret_texts(values.variables)).hide(self._hide(text))
        return Refused(DeadClass.FAILED, reason[:MAX_REASON] or f"the run ended at step {step.name!r}")

    def _end_run(self, run: Run, values: Values, status: int | None = None) -> Outcome:
        """End the run well: the run that waits for it goes on. Raises `Undecodable`."""
        return success_message(run, values, status) if run.callers else Done("the run is done", status)

    def _failed(self, run: Run, step: Step, values: Values, outcome: Outcome, attempts: int) -> Outcome:
        """Return the outcome of a failure: it waits for its retry, goes to `on_failure`, or ends the run. A step in doubt is parked in any case."""
        if isinstance(outcome, (Done, Continue, Skipped)):
            return outcome
        failure = replace(outcome, reason=f"step {step.name!r}: {outcome.reason}")
        if isinstance(failure, (NotSent, Ambiguous)):
            failure = replace(failure, delays=step.retry if failure.delays is None else failure.delays)
        if step.on_failure is None or not is_final(failure, attempts):
            return failure
        logger.warning("step.failed", reason=outcome.reason, status=outcome.status, then=step.on_failure)
        return self._to(run, step.on_failure, replace(values, status=outcome.status), outcome.status)

    def _to(self, run: Run, name: str, values: Values, status: int | None = None) -> Outcome:
        """Go to this step. Raises `Undecodable` when the run has grown too large."""
        return Continue(run.next(name, values).message(), run_queue(self._runbook.name), f"{run.step or 'start'}{ARROW}{name}", status)
