"""Decides what a replay does with each letter; a letter in doubt needs an operator's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from worker.config.automation import Runbook, Step
from worker.config.routes import Routes
from worker.config.run_values import Values
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.flows.dead.letter import DeadQueue, Letter
from worker.flows.running.endings import success_message
from worker.flows.running.run_message import Run

SENDING_KINDS = frozenset({"publisher", "steps"})  # dead queues whose messages have an effect outside the broker
ENDED_AFTER = 120.0  # seconds after its death within which an attempt of a letter has ended, and Halo's lists show its result
EXTRA_TRIES = 100  # more than the attempts that can have been claimed for a letter without a trace in its headers


class Verdict(StrEnum):
    """An operator's verdict on letters that may have had their effect; the values of `--as`."""

    SENT = "sent"
    NOT_SENT = "not-sent"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Replay:
    """Put it back into its queue, with the operator's verdict if there is one."""

    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class MarkDone:
    """It had its effect: send nothing. `onward`: the run's next step, if it has one."""

    onward: Message | None = None


@dataclass(frozen=True, slots=True)
class Retain:
    """Leave it in the dead queue."""

    reason: str


ReplayPlan = Replay | MarkDone | Retain
ReplayPlanner = Callable[[Letter, Message], ReplayPlan]
IN_DOUBT_REASON = "in doubt: say `--as not-sent` (send it again), `--as sent` (it is done) or `--as look` (look it up with the route's `find`)"
INCOMPLETE_REASON = "incomplete (`dead-left-out` names what is missing): have the sender send it again or a poll read it again, then discard it"
ANSWER_NEEDED_REASON = (
    "its request was sent, but the answer is lost, and step {step!r} {needs}: check it in the other system, then discard it, or say `--as not-sent`"
)

CALLER_WAITS_REASON = (
    "step {step!r} ends a run for which one of runbook {runbook!r} waits: say `--as not-sent`, or give the step a `next` that leads to an `end: done`"
)


def incomplete_letter(letter: Letter) -> Retain | None:
    """A letter with a missing part stays: its body is too large to read, or the worker left something out when it dead-lettered the message."""
    if letter.unread:
        return Retain(f"its body has {letter.unread:,} bytes, more than the limit: raise WORKER_MAX_MESSAGE, for this command and for the worker")
    if letter.state.death is not None and letter.state.death.left_out:
        return Retain(INCOMPLETE_REASON)
    return None


def planner(dead_queue: DeadQueue, routes: Routes, verdict: Verdict | None) -> ReplayPlanner:
    """Returns the function that decides for the letters of one dead queue."""

    def plan(letter: Letter, message: Message) -> ReplayPlan:
        if not letter.effect_unknown or dead_queue.kind not in SENDING_KINDS:
            return Replay()
        match verdict:
            case None if letter.dead_class == DeadClass.IN_DOUBT:
                return Retain(IN_DOUBT_REASON)
            case None | Verdict.NOT_SENT:
                return Replay(verdict)
            case Verdict.LOOK:
                return plan_lookup(dead_queue, routes, message)
            case Verdict.SENT:
                return plan_done(dead_queue, routes, message)

    return plan


def plan_lookup(dead_queue: DeadQueue, routes: Routes, message: Message) -> ReplayPlan:
    """Plan a lookup. Keeps a letter that no `find` can look up, and a run that cannot be read."""
    if dead_queue.kind == "publisher":
        subject, find = f"the route {dead_queue.route}", routes.publishers[dead_queue.route].find
    else:
        try:
            step = step_of(routes.runbooks[dead_queue.route], Run.read(message.body))
        except Undecodable as error:
            return Retain(str(error))
        if step is None:
            return Replay(Verdict.LOOK)
        subject, find = f"step {step.name!r}", step.find
    return Replay(Verdict.LOOK) if find is not None else Retain(f"{subject} has no `find` to look it up with: say `--as sent` or `--as not-sent`")


def plan_done(dead_queue: DeadQueue, routes: Routes, message: Message) -> ReplayPlan:
    """Plan the replay of a letter that is done: a run continues if its next step does not depend on the lost answer."""
    if dead_queue.kind != "steps":
        return MarkDone()
    runbook = routes.runbooks[dead_queue.route]
    try:
        run = Run.read(message.body)
        step = step_of(runbook, run)
        if step is None:
            return Retain("the run was not at a step that sends a request: replay it without `--as sent`")
        if needs := answer_use(step):
            return Retain(ANSWER_NEEDED_REASON.format(step=step.name, needs=needs))
        values = replace(run.values(), status=None, response=None)
        if not step.go and run.callers:
            return plan_end(runbook, run, step, values)
        if not step.go:
            return MarkDone()
        return MarkDone(run.next(step.go[0].go, values).message())
    except Undecodable as error:
        return Retain(str(error))


def plan_end(runbook: Runbook, run: Run, step: Step, values: Values) -> ReplayPlan:
    """Plan the end of a run that another run waits for. Raises `Undecodable`.

    An element whose last step is done lets its iteration go on. A caller in another runbook has a queue of its own, so the letter stays.
    """
    above = run.callers[-1]
    if above.runbook != run.runbook:
        return Retain(CALLER_WAITS_REASON.format(step=step.name, runbook=above.runbook))
    iterating = runbook.steps.get(above.step or "")
    if iterating is not None and iterating.each is not None and iterating.each.into is not None:
        return Retain(ANSWER_NEEDED_REASON.format(step=step.name, needs=f"ends an element of which step {iterating.name!r} collects a value"))
    return MarkDone(success_message(run, values).message)


def step_of(runbook: Runbook, run: Run) -> Step | None:
    """The step at which the run stopped, if that step sends a request."""
    step = runbook.steps.get(run.step or "")
    return step if step is not None and (step.method is not None or step.action is not None) else None


def answer_use(step: Step) -> str:
    """How a step uses its answer; empty if it does not."""
    if outputs := [*(step.method.output if step.method else ()), *step.output]:
        return f"takes variables from it ({', '.join(outputs)})"
    return "decides by it" if step.go and step.go[0].when is not None else ""


def replay_state(letter: Letter, verdict: Verdict | None = None, now: float | None = None) -> DeliveryState:
    """The state of a replayed letter: as it first arrived, with `replays` counted and attempts reset. `now`: seconds since 1970.

    `tries` stays, and `replay` names the letter: a command can die between its publish and its ack, and of the two copies only one may make the next attempt.
    A letter that is old enough does not wait for an attempt that may have had its effect: it is looked up at once.
    """
    old = letter.effect_unknown and now is not None and letter.at is not None and now - letter.at.timestamp() > ENDED_AFTER
    known = replace(letter.state, message_id=letter.id, replays=letter.replays + 1, replay=letter.fingerprint.hex())
    state = replace(known, attempts=0, reason="", waited=old, order=None, death=None)
    if verdict is Verdict.NOT_SENT:
        return replace(state, doubtful=False, redelivered=False, tries=state.tries + EXTRA_TRIES)
    if verdict is Verdict.LOOK:
        return replace(state, doubtful=True)
    return replace(state, redelivered=True) if letter.dead_class == DeadClass.CRASHED else state
