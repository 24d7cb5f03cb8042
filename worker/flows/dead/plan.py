"""What a replay does with a letter: pure. A letter in doubt needs an operator's word for what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from worker.config.automation import Runbook, Step
from worker.config.routes import Publisher, Routes
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.letter import Letter
from worker.flows.dead.verdict import Verdict
from worker.flows.running.run_message import Run

SENDING_KINDS = frozenset({"publisher", "steps"})  # kinds whose messages have an effect outside of the broker
EXTRA_TRIES = 100  # attempts: more than can have been claimed for a letter and not be told by it


@dataclass(frozen=True, slots=True)
class Replay:
    """Have it tried anew: as the letter says of itself, or as an operator says."""

    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class MarkDone:
    """It had its effect: nothing is sent. `onward`: a run's next step, where it has one."""

    onward: Message | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """It stays where it is. `asks`: because nobody said what became of it."""

    reason: str
    asks: bool = False


ReplayPlan = Replay | MarkDone | Keep
ReplayPlanner = Callable[[Letter, Message], ReplayPlan]
IN_DOUBT_REASON = "in doubt: say `--as not-sent` (it is tried anew), `--as sent` (it is done) or `--as look` (it is looked up by the route's `find`)"
INCOMPLETE_REASON = "it is not whole (`dead-left-out` says what is missing): have it sent again by its sender or read again by a poll, then discard it"
ANSWER_NEEDED_REASON = "it was sent, but nobody has its answer, which step {step!r} {needs}: look into it, then discard it, or say `--as not-sent`"


def incomplete(letter: Letter) -> Keep | None:
    """A letter of which a part is missing stays: its body was too large to be read, or something was left out when it was buried."""
    if letter.unread:
        return Keep(f"its body has {letter.unread:,} bytes, more than are read: raise WORKER_MAX_MESSAGE, for this command and for the worker")
    if letter.state.death is not None and letter.state.death.left_out:
        return Keep(INCOMPLETE_REASON)
    return None


def planner(dead_queue: DeadQueue, routes: Routes, verdict: Verdict | None) -> ReplayPlanner:
    """Decides for the letters of one dead_queue."""

    def plan(letter: Letter, message: Message) -> ReplayPlan:
        if not letter.effect_unknown or dead_queue.kind not in SENDING_KINDS:
            return Replay()
        match verdict:
            case None if letter.dead_class == DeadClass.IN_DOUBT:
                return Keep(IN_DOUBT_REASON, asks=True)
            case None | Verdict.NOT_SENT:
                return Replay(verdict)
            case Verdict.LOOK:
                return plan_lookup(dead_queue, routes, message)
            case Verdict.SENT:
                return plan_done(dead_queue, routes, message)

    return plan


def plan_lookup(dead_queue: DeadQueue, routes: Routes, message: Message) -> ReplayPlan:
    """Raises nothing: a run that cannot be read is left."""
    if dead_queue.kind == "publisher":
        publisher: Publisher = routes.publishers[dead_queue.route]
        return (
            Replay(Verdict.LOOK)
            if publisher.find is not None
            else Keep(f"the route {dead_queue.route} has no `find` to look it up by: `--as sent` or `--as not-sent`")
        )
    try:
        step = step_of(routes.runbooks[dead_queue.route], Run.read(message.body))
    except Undecodable as error:
        return Keep(str(error))
    if step is not None and step.find is None:
        return Keep(f"step {step.name!r} has no `find` to look it up by: `--as sent` or `--as not-sent`")
    return Replay(Verdict.LOOK)


def plan_done(dead_queue: DeadQueue, routes: Routes, message: Message) -> ReplayPlan:
    """A run goes on where its next step does not depend on an answer that nobody has."""
    if dead_queue.kind != "steps":
        return MarkDone()
    runbook = routes.runbooks[dead_queue.route]
    try:
        run = Run.read(message.body)
        step = step_of(runbook, run)
        if step is None:
            return Keep("the run was not at a step that sends anything: replay it without `--as sent`")
        if wants := answer_use(step):
            return Keep(ANSWER_NEEDED_REASON.format(step=step.name, needs=wants))
        if not step.go:
            return MarkDone()
        values = replace(run.values(), status=None, response=None)
        return MarkDone(run.next(step.go[0].go, values).message())
    except Undecodable as error:
        return Keep(str(error))


def step_of(runbook: Runbook, run: Run) -> Step | None:
    """The step that sends something at which the run stopped."""
    step = runbook.steps.get(run.step or "")
    return step if step is not None and (step.method is not None or step.action is not None) else None


def answer_use(step: Step) -> str:
    """What a step takes from its answer; nothing where it needs none."""
    if taken := [*(step.method.output if step.method else ()), *step.output]:
        return f"takes variables from ({', '.join(taken)})"
    return "decides by" if step.go and step.go[0].when is not None else ""


def replay_state(letter: Letter, verdict: Verdict | None = None) -> DeliveryState:
    """The state of a letter that goes back into its queue: as it first came, but for a count of its replays. Attempts begin again.

    How many were claimed stays, so that of two copies (a command may be killed between its publish and its ack) one makes the next attempt.
    """
    state = replace(letter.state, message_id=letter.id, replays=letter.replays + 1, attempts=0, reason="", waited=False, order=None, death=None)
    if verdict is Verdict.NOT_SENT:
        return replace(state, doubtful=False, redelivered=False, tries=state.tries + EXTRA_TRIES)
    if verdict is Verdict.LOOK:
        return replace(state, doubtful=True)
    return replace(state, redelivered=True) if letter.dead_class == DeadClass.CRASHED else state
