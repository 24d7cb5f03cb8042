"""`halo-worker dead replay` and `dead discard`: count the selected letters, ask for confirmation, and settle them one by one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.app.letters.context import LettersContext
from worker.app.letters.letter_operations import LOCKED, LetterOperation, LettersLocked, OrphanedQueue, discard_operation, replay_operation, settle
from worker.cli.console import errors, output, write_json
from worker.cli.dead.context import UsageError, attached, confirm, open_context, progress_bar, required_selection, scan
from worker.cli.dead.inspect import MAX_LISTED, by_class, letter_count, letter_object, print_letters, print_unreadable
from worker.flows.dead import operations
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.flows.dead.operations import SettlementTally
from worker.flows.dead.plan import MarkDone, Replay, ReplayPlan, Retain, Verdict
from worker.shutdown import stop_on_signals

RESULT_TEXTS = {"filtered": "left out by the route's `when`", "done": "taken as done"}


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options of both commands."""

    dry_run: bool
    yes: bool
    as_json: bool


def replay_letters(
    route: str, ids: Sequence[str], where: str | None, verdict: str | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions
) -> int:
    """Returns the exit code: 0 if all selected letters are replayed, 1 if some stay. `verdict`: a value of `Verdict`.

    Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `LettersLocked`.
    """
    context = open_context(route, environment)
    try:
        work = replay_operation(context, None if verdict is None else Verdict(verdict))
    except OrphanedQueue as error:
        raise UsageError(str(error)) from None
    return run_work(context, work, required_selection(ids, where, everything=everything), options)


def discard_letters(route: str, ids: Sequence[str], where: str | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions) -> int:
    """Returns the exit code: 0 if all selected letters are deleted. Raises as `replay_letters`."""
    context = open_context(route, environment)
    return run_work(context, discard_operation(context), required_selection(ids, where, everything=everything), options)


def run_work(context: LettersContext, work: LetterOperation, selection: Selection, options: ApplyOptions) -> int:
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError(f"standard input is not a terminal, so the command cannot ask: add --yes to {work.verb} the letters, or --dry-run to list them")
    return asyncio.run(apply(context, work, selection, options))


async def apply(context: LettersContext, work: LetterOperation, selection: Selection, options: ApplyOptions) -> int:
    async with (
        attached(context) as broker,
        context.evaluator() as evaluator,
        operations.exclusive_access(broker, context.clock, context.dead_queues) as exclusive,
    ):
        if not exclusive:
            raise LettersLocked(LOCKED)
        selector = LetterSelector(selection, context.clock.now(), context.codec, keep=MAX_LISTED, planner=work.plan)
        await scan(context, broker, selector)
        print_unreadable(selector)
        require_applicable(selector, by_name=bool(selection.ids))
        if options.dry_run:
            return report_dry_run(context, work, selector, options)
        if not selector.count:
            return report_outcome(context, options, SettlementTally(), "")
        if not options.yes and not await confirm(f"{work.verb.capitalize()} {describe_selection(context, selector)}?"):
            errors().print("nothing was changed")
            return 1
        async with stop_on_signals() as stop:
            with progress_bar(work.verb, selector.count) as advance:
                tally, error = await settle(context, broker, evaluator, work, selector.fingerprints, selector.superseded, stop, advance)
        return report_outcome(context, options, tally, error)


def require_applicable(selector: LetterSelector, *, by_name: bool) -> None:
    """Raises `UsageError` if none of the letters can be replayed, or if one of several named letters cannot."""
    kept = selector.kept.total()
    if kept and (by_name or kept == selector.count):
        raise UsageError("nothing was changed: " + "; ".join(f"{letter_count(count)} {keep.reason}" for keep, count in selector.kept.most_common()))


def describe_selection(context: LettersContext, selector: LetterSelector) -> str:
    """Return a description of the selected letters, for a question or a dry run."""
    parts = [f"{letter_count(selector.count)} of {context.route}{by_class(selector.classes)}"]
    if selector.done:
        parts.append(f"{selector.done:,} of them taken as done")
    parts += [f"{count:,} of them left, since {keep.reason}" for keep, count in selector.kept.most_common()]
    return "; ".join(parts)


def report_dry_run(context: LettersContext, work: LetterOperation, selector: LetterSelector, options: ApplyOptions) -> int:
    """Prints what the command would do, and returns the exit code."""
    if options.as_json:
        letters = [letter_object(each.letter, each.dead_queue.name, selector.now) | {"plan": plan_name(work, each.plan)} for each in selector.chosen]
        write_json({"route": context.route, "dry_run": True, "chosen": selector.count, "left": kept_object(selector.kept), "letters": letters})
    else:
        print_letters(selector.chosen, selector)
        output().print(f"would {work.verb} {describe_selection(context, selector)}; nothing was changed (--dry-run)", soft_wrap=True)
    return 0


def plan_name(work: LetterOperation, plan: ReplayPlan | None) -> str:
    match plan:
        case None:
            return work.verb
        case Retain():
            return "left"
        case MarkDone():
            return "done"
        case Replay():
            return "replayed"


def kept_object(kept: Mapping[Retain, int]) -> dict[str, int]:
    return {keep.reason: count for keep, count in kept.items()}


def report_outcome(context: LettersContext, options: ApplyOptions, tally: SettlementTally, error: str) -> int:
    """Prints the counts, and returns the exit code: 1 unless every letter was settled."""
    code = int(bool(tally.kept or tally.missing or tally.stopped or error))
    if options.as_json:
        counts: dict[str, Any] = {"route": context.route, **tally.removed, "left": kept_object(tally.kept)}
        write_json(counts | {"missing": tally.missing, "stopped": tally.stopped, "error": error or None})
        return code
    lines = [f"{letter_count(count)} {RESULT_TEXTS.get(result, result)}" for result, count in tally.removed.items()]
    lines += [f"{letter_count(count)} left: {keep.reason}" for keep, count in tally.kept.most_common()]
    if tally.missing:
        lines.append(f"{letter_count(tally.missing)} missing: no longer in the queue, or held by another consumer")
    if not (lines or error):
        lines.append(letter_count(0))
    if tally.stopped:
        lines.append("stopped; the other letters are where they were")
    for line in lines:
        output().print(f"{context.route}: {line}", soft_wrap=True)
    if error:
        hint = "the other letters are where they were, and possibly the last one too: replay it again, the worker recognises the second copy"
        errors().print(f"halo-worker: {error}; {hint}", soft_wrap=True)
    return code
