"""Ends a run that another run waits for: a message lets the caller go on, or makes its step fail."""

from __future__ import annotations

from dataclasses import replace

from worker.config.automation import Step
from worker.config.run_values import Values
from worker.core.outcome import ARROW, Ambiguous, Continue, DeadClass, NotSent, Outcome, Refused
from worker.flows.running.iteration import RunFailure
from worker.flows.running.run_message import ChildResult, Run, run_queue

MAX_REASON = 1000  # characters; a header that outgrows a frame would cost the connection


def success_message(run: Run, values: Values, status: int | None = None) -> Continue:
    """Return the message by which the caller goes on. Raises `Undecodable` when the caller is too large to travel."""
    last = replace(run.with_values(values).without_large_response(), callers=(), each=None, returned=None, request=None)
    return message_to_caller(run, ChildResult(last), status)


def failure_message(run: Run, outcome: Outcome, attempts: int) -> Outcome:
    """Return the outcome, or the message that passes a final failure to a caller that catches it.

    If no caller catches the failure, the letter holds all the runs, and its replay goes on from there. Raises `Undecodable` when the caller is too large to
    travel.
    """
    run = iterating_run(run)
    caught = bool(run.callers) and run.callers[-1].catches
    if not caught or not isinstance(outcome, (NotSent, Ambiguous, Refused)) or not is_final(outcome, attempts):
        return outcome
    dead = outcome.dead_class if isinstance(outcome, Refused) else DeadClass.RETRIES_EXHAUSTED
    failure = RunFailure(dead.value, outcome.reason[:MAX_REASON], outcome.status, run.step or "")
    return message_to_caller(run, ChildResult(failure=failure), outcome.status)


def message_to_caller(run: Run, ended: ChildResult, status: int | None = None) -> Continue:
    """Return the message for the caller. The visits of an element continue the count of its run; another runbook's run counts its own."""
    caller = run.callers[-1]
    visit = (run if run.is_element else caller).visit + 1
    above = replace(caller, callers=run.callers[:-1], visit=visit, returned=ended, catches=False)
    return Continue(above.message(), run_queue(above.runbook), f"{run.step}{ARROW}{above.step}", status)


def waiting_caller(run: Run, step: Step) -> Run:
    """Return the run as the caller of the run that its step begins."""
    catches = step.on_failure is not None or bool(step.each is not None and step.each.failures)
    return replace(run.waiting(), callers=(), returned=None, catches=catches or bool(run.callers and run.callers[-1].catches))


def iterating_run(run: Run) -> Run:
    """Return the run that iterates, if this run is one of its lanes; otherwise the run itself."""
    return replace(run, id=run.each.origin, visit=run.each.visit) if run.each is not None and run.each.lanes > 1 else run


def is_final(outcome: NotSent | Ambiguous | Refused, attempts: int) -> bool:
    """Whether no further attempt follows and no operator has to decide whether it was done."""
    match outcome:
        case Refused(dead_class):
            return dead_class is not DeadClass.IN_DOUBT
        case Ambiguous(repeatable=False):
            return False
        case _:
            return outcome.counted and attempts >= len(outcome.delays or ())
