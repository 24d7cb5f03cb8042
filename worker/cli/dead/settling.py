"""`halo-worker dead replay` and `dead discard`: what is chosen is counted, agreed to, and settled one letter after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.cli.console import errors, output, write_json
from worker.cli.dead.asking import agreed, somebody_there
from worker.cli.dead.restoring import discarding, replaying
from worker.cli.dead.scene import Scene, WrongUse, progress, scene_of, selection_of
from worker.cli.dead.view import by_class, counted, letter_object, print_letters, print_unreadable
from worker.core.errors import WorkerError
from worker.core.message import Message
from worker.core.ports import Broker, Evaluator
from worker.flows.dead import desk
from worker.flows.dead.boxes import Box
from worker.flows.dead.desk import CutShort, Tally
from worker.flows.dead.letter import Letter
from worker.flows.dead.plan import Left, Plan, planner
from worker.flows.dead.replaying import Settled
from worker.flows.dead.sifting import Selection, Sieve
from worker.flows.dead.verdict import Verdict
from worker.shutdown import stop_on_signals

GOOD, FAILED = 0, 1
SHOWN = 50
CUT = "the others are where they were, and so may be the one in hand: replay it all the same, the worker knows its second copy"
HELD = "somebody else is at these letters now: try again when they have finished"
WORDS = {"filtered": "left out by the route's `when`", "done": "taken as done"}


class InOthersHands(WorkerError):
    """Two at once would mix up the order."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command is carried out."""

    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done to which letters. `judge`: what would become of one; `settled`: how those of each box are settled."""

    verb: str
    selection: Selection
    manner: Manner
    judge: Callable[[Box, Letter, Message], Plan] | None
    settled: Callable[[Broker, Evaluator], Mapping[Box, Settled]]
    largest: int = 0
    """Bytes of a body that it takes to settle one."""


def replay_letters(
    route: str, ids: Sequence[str], where: str | None, verdict: Verdict | None, environment: Mapping[str, str], *, everything: bool, manner: Manner
) -> int:
    """0 when all that were chosen are replayed, 1 when some are left. Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `InOthersHands`."""
    scene = scene_of(route, environment)
    if orphans := [box.queue for box in scene.boxes if box.kind == "orphaned"]:
        raise WrongUse(f"no route of these files has the dead queue {orphans[0]!r}, so nobody would try its letters anew: put the route back, or discard them")
    planners = {box: planner(box, scene.routes, verdict) for box in scene.boxes}

    def judge(box: Box, letter: Letter, message: Message) -> Plan:
        return planners[box](letter, message)

    task = Task(
        "replay",
        selection_of(ids, where, everything=everything),
        manner,
        judge,
        lambda broker, evaluator: replaying(scene, broker, evaluator, planners),
        scene.settings.max_message,
    )
    return carried_out(scene, task)


def discard_letters(route: str, ids: Sequence[str], where: str | None, environment: Mapping[str, str], *, everything: bool, manner: Manner) -> int:
    """0 when all that were chosen are gone. Raises as `replay_letters`."""
    scene = scene_of(route, environment)
    return carried_out(scene, Task("discard", selection_of(ids, where, everything=everything), manner, None, lambda _, __: discarding(scene)))


def carried_out(scene: Scene, task: Task) -> int:
    if not (task.manner.yes or task.manner.dry_run or somebody_there()):
        raise WrongUse(f"nobody can be asked here: add --yes to {task.verb} letters without being asked, or --dry-run to see which")
    return asyncio.run(worked(scene, task))


async def worked(scene: Scene, task: Task) -> int:
    async with scene.broker() as broker, scene.evaluator() as evaluator, desk.alone(broker, scene.clock, scene.boxes) as alone:
        if not alone:
            raise InOthersHands(HELD)
        sieve = Sieve(task.selection, scene.clock.now(), scene.codec, keep=SHOWN, judge=task.judge)
        await scene.looked(broker, sieve)
        print_unreadable(errors(), sieve)
        refuse(sieve, by_name=bool(task.selection.ids))
        if task.manner.dry_run:
            return told_beforehand(scene, task, sieve)
        if not sieve.count:
            return report(scene, task, Tally(), "")
        if not task.manner.yes and not await agreed(f"{task.verb.capitalize()} {intended(scene, sieve)}?"):
            errors().print("nothing was changed")
            return FAILED
        async with stop_on_signals() as stop:
            with progress(task.verb, sieve.count) as step:
                try:
                    settled = task.settled(broker, evaluator)
                    tally, error = await desk.settle(broker, scene.clock, scene.codec, sieve.marks, settled, stop, step, largest=task.largest), ""
                except CutShort as cut:
                    tally, error = cut.tally, str(cut)
        return report(scene, task, tally, error)


def refuse(sieve: Sieve, *, by_name: bool) -> None:
    """Letters that were named are replayed together or not at all; and where none can be, that is an error. Raises `WrongUse`."""
    left = sieve.left.total()
    if left and (by_name or left == sieve.count):
        raise WrongUse("nothing was changed: " + "; ".join(f"{counted(count)} {left.reason}" for left, count in sieve.left.most_common()))


def intended(scene: Scene, sieve: Sieve) -> str:
    """What is about to be done, for a question or a dry run."""
    parts = [f"{counted(sieve.count)} of {scene.route}{by_class(sieve.classes)}"]
    if done := sieve.plans["TakenAsDone"]:
        parts.append(f"{done:,} of them taken as done")
    parts += [f"{count:,} of them left, since {left.reason}" for left, count in sieve.left.most_common()]
    return "; ".join(parts)


def told_beforehand(scene: Scene, task: Task, sieve: Sieve) -> int:
    """For a dry run."""
    if task.manner.as_json:
        letters = [letter_object(each.letter, each.box.queue, sieve.now) | {"plan": plan_name(task, each.plan)} for each in sieve.chosen]
        write_json({"route": scene.route, "dry_run": True, "chosen": sieve.count, "left": left_object(sieve.left), "letters": letters})
        return GOOD
    print_letters(sieve.chosen, sieve)
    output().print(f"would {task.verb} {intended(scene, sieve)}; nothing was changed (--dry-run)", soft_wrap=True)
    return GOOD


def plan_name(task: Task, plan: Plan | None) -> str:
    match plan:
        case None:
            return task.verb
        case Left():
            return "left"
        case _:
            return {"Again": "replayed", "TakenAsDone": "done"}[type(plan).__name__]


def left_object(left: Mapping[Left, int]) -> dict[str, int]:
    return {each.reason: count for each, count in left.items()}


def report(scene: Scene, task: Task, tally: Tally, error: str) -> int:
    """What became of them; 1 unless all of it was done."""
    good = not (tally.left or tally.missing or tally.stopped or error)
    if task.manner.as_json:
        told: dict[str, Any] = {"route": scene.route, **tally.gone, "left": left_object(tally.left)}
        write_json(told | {"missing": tally.missing, "stopped": tally.stopped, "error": error or None})
        return GOOD if good else FAILED
    console = output()
    if not (tally.count or tally.missing or error):
        console.print(f"{scene.route}: {counted(0)}", soft_wrap=True)
    for how, count in tally.gone.items():
        console.print(f"{scene.route}: {counted(count)} {WORDS.get(how, how)}", soft_wrap=True)
    for left, count in tally.left.most_common():
        console.print(f"{scene.route}: {counted(count)} left: {left.reason}", soft_wrap=True)
    if tally.missing:
        console.print(f"{scene.route}: {counted(tally.missing)} not there any more, or in somebody else's hands", soft_wrap=True)
    if tally.stopped:
        console.print(f"{scene.route}: stopped; the others are where they were", soft_wrap=True)
    if error:
        errors().print(f"halo-worker: {error}; {CUT}", soft_wrap=True)
    return GOOD if good else FAILED
