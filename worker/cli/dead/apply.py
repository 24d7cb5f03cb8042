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
    """What is to be done to which letters. `judge`: what would become of one; `settled`: how those of each box are settled."""

    verb: str
    selection: Selection
    manner: ApplyOptions
    judge: Callable[[DeadQueue, Letter, Message], ReplayPlan] | None
    settled: Callable[[Broker, Evaluator], Mapping[DeadQueue, SettleLetter]]
    largest: int = 0
    """Bytes of a body that it takes to settle one."""


def replay_letters(
    route: str, ids: Sequence[str], where: str | None, verdict: Verdict | None, environment: Mapping[str, str], *, everything: bool, manner: ApplyOptions
) -> int:
    """0 when all that were chosen are replayed, 1 when some are left. Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `LettersLocked`."""
    scene = open_context(route, environment)
    if orphans := [box.queue for box in scene.boxes if box.kind == "orphaned"]:
        raise UsageError(
            f"no route of these files has the dead queue {orphans[0]!r}, so nobody would try its letters anew: put the route back, or discard them"
        )
    planners = {box: planner(box, scene.routes, verdict) for box in scene.boxes}

    def judge(box: DeadQueue, letter: Letter, message: Message) -> ReplayPlan:
        return planners[box](letter, message)

    task = Task(
        "replay",
        require_selection(ids, where, everything=everything),
        manner,
        judge,
        lambda broker, evaluator: replay_settlers(scene, broker, evaluator, planners),
        scene.settings.max_message,
    )
    return run_task(scene, task)


def discard_letters(route: str, ids: Sequence[str], where: str | None, environment: Mapping[str, str], *, everything: bool, manner: ApplyOptions) -> int:
    """0 when all that were chosen are gone. Raises as `replay_letters`."""
    scene = open_context(route, environment)
    return run_task(scene, Task("discard", require_selection(ids, where, everything=everything), manner, None, lambda _, __: discard_settlers(scene)))


def run_task(scene: RouteContext, task: Task) -> int:
    if not (task.manner.yes or task.manner.dry_run or is_interactive()):
        raise UsageError(f"nobody can be asked here: add --yes to {task.verb} letters without being asked, or --dry-run to see which")
    return asyncio.run(apply(scene, task))


async def apply(scene: RouteContext, task: Task) -> int:
    async with scene.broker() as broker, scene.evaluator() as evaluator, operations.exclusive_access(broker, scene.clock, scene.boxes) as alone:
        if not alone:
            raise LettersLocked(LOCKED_REASON)
        sieve = LetterSelector(task.selection, scene.clock.now(), scene.codec, keep=MAX_SHOWN, judge=task.judge)
        await scene.looked(broker, sieve)
        print_unreadable(errors(), sieve)
        require_applicable(sieve, by_name=bool(task.selection.ids))
        if task.manner.dry_run:
            return report_dry_run(scene, task, sieve)
        if not sieve.count:
            return report_outcome(scene, task, SettlementTally(), "")
        if not task.manner.yes and not await confirm(f"{task.verb.capitalize()} {describe_intent(scene, sieve)}?"):
            errors().print("nothing was changed")
            return FAILED
        async with stop_on_signals() as stop:
            with progress_bar(task.verb, sieve.count) as step:
                try:
                    settled = task.settled(broker, evaluator)
                    tally, error = await operations.settle_letters(broker, scene.clock, scene.codec, sieve.marks, settled, stop, step, largest=task.largest), ""
                except Interrupted as cut:
                    tally, error = cut.tally, str(cut)
        return report_outcome(scene, task, tally, error)


def require_applicable(sieve: LetterSelector, *, by_name: bool) -> None:
    """Letters that were named are replayed together or not at all; and where none can be, that is an error. Raises `UsageError`."""
    left = sieve.left.total()
    if left and (by_name or left == sieve.count):
        raise UsageError("nothing was changed: " + "; ".join(f"{letter_count(count)} {left.reason}" for left, count in sieve.left.most_common()))


def describe_intent(scene: RouteContext, sieve: LetterSelector) -> str:
    """What is about to be done, for a question or a dry run."""
    parts = [f"{letter_count(sieve.count)} of {scene.route}{by_class(sieve.classes)}"]
    if done := sieve.plans["MarkDone"]:
        parts.append(f"{done:,} of them taken as done")
    parts += [f"{count:,} of them left, since {left.reason}" for left, count in sieve.left.most_common()]
    return "; ".join(parts)


def report_dry_run(scene: RouteContext, task: Task, sieve: LetterSelector) -> int:
    """For a dry run."""
    if task.manner.as_json:
        letters = [letter_object(each.letter, each.box.queue, sieve.now) | {"plan": plan_name(task, each.plan)} for each in sieve.chosen]
        write_json({"route": scene.route, "dry_run": True, "chosen": sieve.count, "left": left_object(sieve.left), "letters": letters})
        return GOOD
    print_letters(sieve.chosen, sieve)
    output().print(f"would {task.verb} {describe_intent(scene, sieve)}; nothing was changed (--dry-run)", soft_wrap=True)
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


def report_outcome(scene: RouteContext, task: Task, tally: SettlementTally, error: str) -> int:
    """What became of them; 1 unless all of it was done."""
    good = not (tally.left or tally.missing or tally.stopped or error)
    if task.manner.as_json:
        told: dict[str, Any] = {"route": scene.route, **tally.gone, "left": left_object(tally.left)}
        write_json(told | {"missing": tally.missing, "stopped": tally.stopped, "error": error or None})
        return GOOD if good else FAILED
    console = output()
    if not (tally.count or tally.missing or error):
        console.print(f"{scene.route}: {letter_count(0)}", soft_wrap=True)
    for how, count in tally.gone.items():
        console.print(f"{scene.route}: {letter_count(count)} {RESULT_WORDS.get(how, how)}", soft_wrap=True)
    for left, count in tally.left.most_common():
        console.print(f"{scene.route}: {letter_count(count)} left: {left.reason}", soft_wrap=True)
    if tally.missing:
        console.print(f"{scene.route}: {letter_count(tally.missing)} not there any more, or in somebody else's hands", soft_wrap=True)
    if tally.stopped:
        console.print(f"{scene.route}: stopped; the others are where they were", soft_wrap=True)
    if error:
        errors().print(f"halo-worker: {error}; {INTERRUPTED_HINT}", soft_wrap=True)
    return GOOD if good else FAILED
