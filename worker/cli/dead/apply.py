"""`halo-worker dead replay` and `dead discard`: count the selected letters, ask for confirmation, and settle them one by one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from worker.app.clients import open_clients
from worker.changes.detect import Change
from worker.cli.console import errors, output, write_json
from worker.cli.dead.context import RouteContext, UsageError, confirm, open_context, progress_bar, required_selection
from worker.cli.dead.inspect import MAX_LISTED, by_class, letter_count, letter_object, print_letters, print_unreadable
from worker.config.routes import Subscriber
from worker.core.errors import WorkerError
from worker.core.health import Health
from worker.core.message import Message
from worker.core.ports import Broker, Evaluator, Reader
from worker.core.trace import Note
from worker.flows.dead import operations
from worker.flows.dead.letter import DeadQueue, Letter
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.flows.dead.operations import SettlementInterrupted, SettlementTally
from worker.flows.dead.plan import MarkDone, Replay, ReplayPlan, Retain, Verdict, planner
from worker.flows.dead.replay import (
    FetchDetails,
    Removed,
    ReplayEffects,
    ReplayThroughRoute,
    ReplayToQueue,
    SettleLetter,
    discard,
    subscriber_effects,
    unrouted_effects,
    webhook_effects,
)
from worker.flows.polling.completing import Completer
from worker.flows.polling.details import Unfetched
from worker.flows.requests import subscriber_request
from worker.halo.addresses import api_address
from worker.metrics import Metrics
from worker.shutdown import stop_on_signals
from worker.state.trace_stream import write_notes

SUPERSEDED_REASON = "its edit lies beside it: discard this one, or the edit"
RESULT_TEXTS = {"filtered": "left out by the route's `when`", "done": "taken as done"}


class LettersLocked(WorkerError):
    """Another command works on these letters; two at once would change their order."""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options of both commands."""

    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Task:
    """What to do with which letters. `plan`: what a replay would do with one; `settlers`: how to settle the letters of each dead queue."""

    verb: str
    selection: Selection
    options: ApplyOptions
    plan: Callable[[DeadQueue, Letter, Message], ReplayPlan] | None
    settlers: Callable[[Broker, Evaluator, AsyncExitStack], Mapping[DeadQueue, SettleLetter]]
    largest: int = 0
    """Bytes of a body that settling needs."""


def replay_letters(
    route: str, ids: Sequence[str], where: str | None, verdict: str | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions
) -> int:
    """Returns the exit code: 0 if all selected letters are replayed, 1 if some stay. `verdict`: a value of `Verdict`.

    Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `LettersLocked`.
    """
    context = open_context(route, environment)
    if orphans := [dead_queue.name for dead_queue in context.dead_queues if dead_queue.kind == "orphaned"]:
        raise UsageError(f"no route in the route files has the dead queue {orphans[0]!r}: restore the route to replay its letters, or discard them")
    known_verdict = None if verdict is None else Verdict(verdict)
    planners = {dead_queue: planner(dead_queue, context.routes, known_verdict) for dead_queue in context.dead_queues}

    def plan(dead_queue: DeadQueue, letter: Letter, message: Message) -> ReplayPlan:
        return planners[dead_queue](letter, message)

    def settlers(broker: Broker, evaluator: Evaluator, stack: AsyncExitStack) -> Mapping[DeadQueue, SettleLetter]:
        return {
            dead_queue: ReplayThroughRoute(replay_effects(context, dead_queue, evaluator, stack), broker, context.clock)
            if dead_queue.home is None
            else ReplayToQueue(dead_queue, dead_queue.home, planners[dead_queue], broker, context.codec, context.clock)
            for dead_queue in context.dead_queues
        }

    selected = required_selection(ids, where, everything=everything)
    return run_task(context, Task("replay", selected, options, plan, settlers, context.settings.max_message))


def replay_effects(context: RouteContext, dead_queue: DeadQueue, evaluator: Evaluator, stack: AsyncExitStack) -> ReplayEffects:
    """For a dead queue whose letters came from no queue. `stack` closes what the replay opens."""
    if dead_queue.kind == "subscriber":
        route = context.routes.subscribers[dead_queue.route]
        fetch = details_fetcher(context, route, evaluator, stack)
        return subscriber_effects(route, api_address(context.routes.clients[route.client]) + route.operation.path, evaluator, fetch)
    return webhook_effects(context.routes.webhooks[dead_queue.route], evaluator) if dead_queue.kind == "webhook" else unrouted_effects


def details_fetcher(context: RouteContext, route: Subscriber, evaluator: Evaluator, stack: AsyncExitStack) -> FetchDetails | None:
    """None for a route that wants no more than the row. The client is opened for the first letter that needs it."""
    opened = dict[str, Reader]()
    if not Completer.needed(route):
        return None

    async def fetch(change: Change) -> Change | Unfetched:
        if not opened:
            opened.update(
                await stack.enter_async_context(open_clients(context.routes, context.settings, Metrics(), Health(), context.clock, names=[route.client]))
            )
        query = {} if route.for_each is not None else (await subscriber_request(route, evaluator))["query"]
        return await Completer(route, opened[route.client], evaluator, query).complete(change)

    return fetch


def discard_letters(route: str, ids: Sequence[str], where: str | None, environment: Mapping[str, str], *, everything: bool, options: ApplyOptions) -> int:
    """Returns the exit code: 0 if all selected letters are deleted. Raises as `replay_letters`."""
    context = open_context(route, environment)
    selected = required_selection(ids, where, everything=everything)
    return run_task(context, Task("discard", selected, options, None, lambda *_: dict.fromkeys(context.dead_queues, discard)))


def run_task(context: RouteContext, task: Task) -> int:
    if not (task.options.yes or task.options.dry_run or sys.stdin.isatty()):
        raise UsageError(f"standard input is not a terminal, so the command cannot ask: add --yes to {task.verb} the letters, or --dry-run to list them")
    return asyncio.run(apply(context, task))


async def apply(context: RouteContext, task: Task) -> int:
    async with (
        context.broker() as broker,
        context.evaluator() as evaluator,
        operations.exclusive_access(broker, context.clock, context.dead_queues) as exclusive,
        AsyncExitStack() as stack,
    ):
        if not exclusive:
            raise LettersLocked("another `dead` command is working on the letters of this route: run this one again when it has ended")
        selector = LetterSelector(task.selection, context.clock.now(), context.codec, keep=MAX_LISTED, planner=task.plan)
        await context.scan(broker, selector)
        print_unreadable(selector)
        require_applicable(selector, by_name=bool(task.selection.ids))
        if task.options.dry_run:
            return report_dry_run(context, task, selector)
        if not selector.count:
            return report_outcome(context, task, SettlementTally(), "")
        if not task.options.yes and not await confirm(f"{task.verb.capitalize()} {describe_selection(context, selector)}?"):
            errors().print("nothing was changed")
            return 1
        notes: list[tuple[float, Note]] = []
        error, settlers = (
            "",
            {queue: noting(context, notes, queue, sparing(selector.superseded, each)) for queue, each in task.settlers(broker, evaluator, stack).items()},
        )
        async with stop_on_signals() as stop:
            with progress_bar(task.verb, selector.count) as advance:
                try:
                    tally = await operations.settle_letters(
                        broker, context.clock, context.codec, selector.fingerprints, settlers, stop, advance, largest=task.largest
                    )
                except SettlementInterrupted as interrupted:
                    tally, error = interrupted.tally, str(interrupted)
        await write_notes(broker, notes)
        return report_outcome(context, task, tally, error)


def noting(context: RouteContext, notes: list[tuple[float, Note]], dead_queue: DeadQueue, settle: SettleLetter) -> SettleLetter:
    """Gathers for the trace what became of each letter."""

    async def settled(letter: Letter, message: Message) -> Removed | Retain:
        at = context.clock.now()  # before a worker gets the copy
        result = await settle(letter, message)
        if isinstance(result, Removed):
            more = (("dead_class", str(letter.dead_class)), ("replays", letter.replays + 1 if result.result == "replayed" else None))
            notes.append((at, Note(result.result, dead_queue.route, letter.id, letter.state.correlation_id, more=more)))
        return result

    return settled


def sparing(superseded: Collection[str], settle: SettleLetter) -> SettleLetter:
    """Leaves a letter of which an edit lies beside it: the command that made the edit was interrupted before it took the original away."""

    async def settled(letter: Letter, message: Message) -> Removed | Retain:
        edited = letter.fingerprint.hex() in superseded and settle is not discard
        return Retain(SUPERSEDED_REASON) if edited else await settle(letter, message)

    return settled


def require_applicable(selector: LetterSelector, *, by_name: bool) -> None:
    """Raises `UsageError` if none of the letters can be replayed, or if one of several named letters cannot."""
    kept = selector.kept.total()
    if kept and (by_name or kept == selector.count):
        raise UsageError("nothing was changed: " + "; ".join(f"{letter_count(count)} {keep.reason}" for keep, count in selector.kept.most_common()))


def describe_selection(context: RouteContext, selector: LetterSelector) -> str:
    """The selected letters, for a question or a dry run."""
    parts = [f"{letter_count(selector.count)} of {context.route}{by_class(selector.classes)}"]
    if selector.done:
        parts.append(f"{selector.done:,} of them taken as done")
    parts += [f"{count:,} of them left, since {keep.reason}" for keep, count in selector.kept.most_common()]
    return "; ".join(parts)


def report_dry_run(context: RouteContext, task: Task, selector: LetterSelector) -> int:
    """Prints what the command would do, and returns the exit code."""
    if task.options.as_json:
        letters = [letter_object(each.letter, each.dead_queue.name, selector.now) | {"plan": plan_name(task, each.plan)} for each in selector.chosen]
        write_json({"route": context.route, "dry_run": True, "chosen": selector.count, "left": kept_object(selector.kept), "letters": letters})
    else:
        print_letters(selector.chosen, selector)
        output().print(f"would {task.verb} {describe_selection(context, selector)}; nothing was changed (--dry-run)", soft_wrap=True)
    return 0


def plan_name(task: Task, plan: ReplayPlan | None) -> str:
    match plan:
        case None:
            return task.verb
        case Retain():
            return "left"
        case MarkDone():
            return "done"
        case Replay():
            return "replayed"


def kept_object(kept: Mapping[Retain, int]) -> dict[str, int]:
    return {keep.reason: count for keep, count in kept.items()}


def report_outcome(context: RouteContext, task: Task, tally: SettlementTally, error: str) -> int:
    """Prints the counts, and returns the exit code: 1 unless every letter was settled."""
    code = int(bool(tally.kept or tally.missing or tally.stopped or error))
    if task.options.as_json:
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
