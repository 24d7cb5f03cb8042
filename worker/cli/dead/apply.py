"""`halo-worker dead replay` and `dead discard`: what is chosen is counted, agreed to, and settled one letter after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.cli.console import errors, output, write_json
from worker.cli.dead.context import RouteContext, UsageError, open_context, progress_bar, require_selection
from worker.cli.dead.prompt import confirm, is_interactive
from worker.cli.dead.view import by_class, letter_count, letter_object, print_letters, print_unreadable
from worker.cli.dead.wiring import discard_settlers, replay_settlers
from worker.core.errors import WorkerError
from worker.core.message import Message
from worker.core.ports import Broker, Evaluator
from worker.flows.dead import operations
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.letter import Letter
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.flows.dead.operations import Interrupted, SettlementTally
from worker.flows.dead.plan import Keep, ReplayPlan, planner
from worker.flows.dead.replay import SettleLetter
from worker.flows.dead.verdict import Verdict
from worker.shutdown import stop_on_signals

GOOD, FAILED = 0, 1
MAX_SHOWN = 50
INTERRUPTED_HINT = "the others are where they were, and so may be the one in hand: replay it all the same, the worker knows its second copy"
LOCKED_REASON = "somebody else is at these letters now: try again when they have finished"
RESULT_WORDS = {"filtered": "left out by the route's `when`", "done": "taken as done"}


class LettersLocked(WorkerError):
    """Two at once would mix up the order."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How a command is carried out."""

    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done to which letters. `planner`: what would become of one; `settled`: how those of each dead_queue are settled."""

    verb: str
    selection: Selection
    options: ApplyOptions
    planner: Callable[[DeadQueue, Letter, Message], ReplayPlan] | None
    settled: Callable[[Broker, Evaluator], Mapping[DeadQueue, SettleLetter]]
    largest: int = 0
    """Bytes of a body that it takes to settle one."""


def replay_letters(
    route: str, ids: Sequence[str], where: str | None, verdict: Verdict | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions
) -> int:
    """0 when all that were chosen are replayed, 1 when some are left. Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `LettersLocked`."""
    context = open_context(route, environment)
    if orphans := [dead_queue.name for dead_queue in context.dead_queues if dead_queue.kind == "orphaned"]:
        raise UsageError(
            f"no route of these files has the dead queue {orphans[0]!r}, so nobody would try its letters anew: put the route back, or discard them"
        )
    planners = {dead_queue: planner(dead_queue, context.routes, verdict) for dead_queue in context.dead_queues}

    def planner(dead_queue: DeadQueue, letter: Letter, message: Message) -> ReplayPlan:
        return planners[dead_queue](letter, message)

    task = Task(
        "replay",
        require_selection(ids, where, everything=everything),
        options,
        planner,
        lambda broker, evaluator: replay_settlers(context, broker, evaluator, planners),
        context.settings.max_message,
    )
    return run_task(context, task)


def discard_letters(route: str, ids: Sequence[str], where: str | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions) -> int:
    """0 when all that were chosen are gone. Raises as `replay_letters`."""
    context = open_context(route, environment)
    return run_task(context, Task("discard", require_selection(ids, where, everything=everything), options, None, lambda _, __: discard_settlers(context)))


def run_task(context: RouteContext, task: Task) -> int:
    if not (task.options.yes or task.options.dry_run or is_interactive()):
        raise UsageError(f"nobody can be asked here: add --yes to {task.verb} letters without being asked, or --dry-run to see which")
    return asyncio.run(apply(context, task))


async def apply(context: RouteContext, task: Task) -> int:
    async with context.broker() as broker, context.evaluator() as evaluator, operations.exclusive_access(broker, context.clock, context.dead_queues) as alone:
        if not alone:
            raise LettersLocked(LOCKED_REASON)
        selector = LetterSelector(task.selection, context.clock.now(), context.codec, keep=MAX_SHOWN, planner=task.planner)
        await context.scan(broker, selector)
        print_unreadable(errors(), selector)
        require_applicable(selector, by_name=bool(task.selection.ids))
        if task.options.dry_run:
            return report_dry_run(context, task, selector)
        if not selector.count:
            return report_outcome(context, task, SettlementTally(), "")
        if not task.options.yes and not await confirm(f"{task.verb.capitalize()} {describe_intent(context, selector)}?"):
            errors().print("nothing was changed")
            return FAILED
        async with stop_on_signals() as stop:
            with progress_bar(task.verb, selector.count) as step:
                try:
                    settled = task.settled(broker, evaluator)
                    tally, error = (
                        await operations.settle_letters(broker, context.clock, context.codec, selector.fingerprints, settled, stop, step, largest=task.largest),
                        "",
                    )
                except Interrupted as cut:
                    tally, error = cut.tally, str(cut)
        return report_outcome(context, task, tally, error)


def require_applicable(selector: LetterSelector, *, by_name: bool) -> None:
    """Letters that were named are replayed together or not at all; and where none can be, that is an error. Raises `UsageError`."""
    left = selector.kept.total()
    if left and (by_name or left == selector.count):
        raise UsageError("nothing was changed: " + "; ".join(f"{letter_count(count)} {left.reason}" for left, count in selector.kept.most_common()))


def describe_intent(context: RouteContext, selector: LetterSelector) -> str:
    """What is about to be done, for a question or a dry run."""
    parts = [f"{letter_count(selector.count)} of {context.route}{by_class(selector.classes)}"]
    if done := selector.plans["MarkDone"]:
        parts.append(f"{done:,} of them taken as done")
    parts += [f"{count:,} of them left, since {left.reason}" for left, count in selector.kept.most_common()]
    return "; ".join(parts)


def report_dry_run(context: RouteContext, task: Task, selector: LetterSelector) -> int:
    """For a dry run."""
    if task.options.as_json:
        letters = [letter_object(each.letter, each.dead_queue.name, selector.now) | {"plan": plan_name(task, each.plan)} for each in selector.chosen]
        write_json({"route": context.route, "dry_run": True, "chosen": selector.count, "left": left_object(selector.kept), "letters": letters})
        return GOOD
    print_letters(selector.chosen, selector)
    output().print(f"would {task.verb} {describe_intent(context, selector)}; nothing was changed (--dry-run)", soft_wrap=True)
    return GOOD


def plan_name(task: Task, plan: ReplayPlan | None) -> str:
    match plan:
        case None:
            return task.verb
        case Keep():
            return "left"
        case _:
            return {"Replay": "replayed", "MarkDone": "done"}[type(plan).__name__]


def left_object(left: Mapping[Keep, int]) -> dict[str, int]:
    return {each.reason: count for each, count in left.items()}


def report_outcome(context: RouteContext, task: Task, tally: SettlementTally, error: str) -> int:
    """What became of them; 1 unless all of it was done."""
    good = not (tally.kept or tally.missing or tally.stopped or error)
    if task.options.as_json:
        told: dict[str, Any] = {"route": context.route, **tally.removed, "left": left_object(tally.kept)}
        write_json(told | {"missing": tally.missing, "stopped": tally.stopped, "error": error or None})
        return GOOD if good else FAILED
    console = output()
    if not (tally.count or tally.missing or error):
        console.print(f"{context.route}: {letter_count(0)}", soft_wrap=True)
    for how, count in tally.removed.items():
        console.print(f"{context.route}: {letter_count(count)} {RESULT_WORDS.get(how, how)}", soft_wrap=True)
    for left, count in tally.kept.most_common():
        console.print(f"{context.route}: {letter_count(count)} left: {left.reason}", soft_wrap=True)
    if tally.missing:
        console.print(f"{context.route}: {letter_count(tally.missing)} not there any more, or in somebody else's hands", soft_wrap=True)
    if tally.stopped:
        console.print(f"{context.route}: stopped; the others are where they were", soft_wrap=True)
    if error:
        errors().print(f"halo-worker: {error}; {INTERRUPTED_HINT}", soft_wrap=True)
    return GOOD if good else FAILED
