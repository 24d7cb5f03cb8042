"""Settles dead letters for an operator: replays, discards and edits, each recorded in the trace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from worker.app.clients import open_clients
from worker.app.letters.context import LettersContext
from worker.changes.detect import Change
from worker.config.routes import Subscriber
from worker.core.errors import WorkerError
from worker.core.health import Health
from worker.core.message import Message
from worker.core.ports import Broker, Evaluator, Reader
from worker.core.trace import Note
from worker.flows.dead import operations
from worker.flows.dead.edit import EditLetter
from worker.flows.dead.letter import DeadQueue, Letter
from worker.flows.dead.operations import Progress, SettlementInterrupted, SettlementTally
from worker.flows.dead.plan import ReplayPlan, Retain, Verdict, planner
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
from worker.state.trace_stream import write_notes

SUPERSEDED_REASON = "its edit lies beside it: discard this one, or the edit"
LOCKED = "another `dead` command is working on the letters of this route: run this one again when it has ended"
Settlers = Callable[[Broker, Evaluator, AsyncExitStack], Mapping[DeadQueue, SettleLetter]]
"""Return how to settle the letters of each dead queue. The stack closes what they open."""


class LettersLocked(WorkerError):
    """Another command works on these letters; two commands together would change their order."""


class OrphanedQueue(WorkerError):
    """No route has the dead queue, so its letters cannot be replayed."""


@dataclass(frozen=True, slots=True)
class LetterOperation:
    """What to do with letters. `plan`: returns what a replay would do with a letter. `largest`: bytes of a body that settling needs."""

    verb: str
    settlers: Settlers
    plan: Callable[[DeadQueue, Letter, Message], ReplayPlan] | None = None
    largest: int = 0


def replay_operation(context: LettersContext, verdict: Verdict | None) -> LetterOperation:
    """Return the work that replays letters. `verdict`: the operator's answer for letters in doubt. Raises `OrphanedQueue`."""
    if orphans := [dead_queue.name for dead_queue in context.dead_queues if dead_queue.kind == "orphaned"]:
        raise OrphanedQueue(f"no route in the route files has the dead queue {orphans[0]!r}: restore the route to replay its letters, or discard them")
    planners = {dead_queue: planner(dead_queue, context.routes, verdict) for dead_queue in context.dead_queues}

    def plan(dead_queue: DeadQueue, letter: Letter, message: Message) -> ReplayPlan:
        return planners[dead_queue](letter, message)

    def settlers(broker: Broker, evaluator: Evaluator, stack: AsyncExitStack) -> Mapping[DeadQueue, SettleLetter]:
        return {
            dead_queue: ReplayThroughRoute(replay_effects(context, dead_queue, evaluator, stack), broker, context.clock)
            if dead_queue.home is None
            else ReplayToQueue(dead_queue, dead_queue.home, planners[dead_queue], broker, context.codec, context.clock)
            for dead_queue in context.dead_queues
        }

    return LetterOperation("replay", settlers, plan, context.settings.max_message)


def discard_operation(context: LettersContext) -> LetterOperation:
    return LetterOperation("discard", lambda *_: dict.fromkeys(context.dead_queues, discard))


def edit_operation(context: LettersContext, dead_queue: DeadQueue, body: bytes) -> LetterOperation:
    """Return the work that edits letters. `body`: the new body, JSON."""
    return LetterOperation(
        "edit", lambda broker, *_: {dead_queue: EditLetter(dead_queue, body, broker, context.codec, context.clock)}, largest=context.settings.max_message
    )


async def settle(
    context: LettersContext,
    broker: Broker,
    evaluator: Evaluator,
    work: LetterOperation,
    fingerprints: Mapping[str, Counter[bytes]],
    superseded: Collection[str],
    stop: asyncio.Event,
    progress: Progress = lambda _: None,
) -> tuple[SettlementTally, str]:
    """Settle the letters with these fingerprints, by queue; the caller has exclusive access to them. Also return why it ended early, if it did.

    `superseded`: fingerprints of letters whose edited copies are in the queue.
    """
    notes: list[tuple[float, Note]] = []
    async with AsyncExitStack() as stack:
        settlers = {
            queue: with_trace(context, notes, queue, keeping_superseded(superseded, each)) for queue, each in work.settlers(broker, evaluator, stack).items()
        }
        error = ""
        try:
            tally = await operations.settle_letters(broker, context.clock, context.codec, fingerprints, settlers, stop, progress, largest=work.largest)
        except SettlementInterrupted as interrupted:
            tally, error = interrupted.tally, str(interrupted)
        await write_notes(broker, context.codec, notes)
    return tally, error


def replay_effects(context: LettersContext, dead_queue: DeadQueue, evaluator: Evaluator, stack: AsyncExitStack) -> ReplayEffects:
    """Return the effects of a replay for a dead queue whose letters came from no queue. `stack` closes what the replay opens."""
    if dead_queue.kind == "subscriber":
        route = context.routes.subscribers[dead_queue.route]
        fetch = details_fetcher(context, route, evaluator, stack)
        return subscriber_effects(route, api_address(context.routes.clients[route.client]) + route.operation.path, evaluator, fetch)
    return webhook_effects(context.routes.webhooks[dead_queue.route], evaluator) if dead_queue.kind == "webhook" else unrouted_effects


def details_fetcher(context: LettersContext, route: Subscriber, evaluator: Evaluator, stack: AsyncExitStack) -> FetchDetails | None:
    """Return the fetcher of details; None for a route that needs only the row. The client opens with the first letter that needs it."""
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


def with_trace(context: LettersContext, notes: list[tuple[float, Note]], dead_queue: DeadQueue, settle_letter: SettleLetter) -> SettleLetter:
    """Wrap `settle_letter`: add to `notes`, for the trace, the result of each letter that it removes."""

    async def settle_and_note(letter: Letter, message: Message) -> Removed | Retain:
        at = context.clock.now()  # before a worker gets the copy
        result = await settle_letter(letter, message)
        if isinstance(result, Removed):
            more = (("dead_class", str(letter.dead_class)), ("replays", letter.replays + 1 if result.result == "replayed" else None))
            notes.append((at, Note(result.result, dead_queue.route, letter.id, letter.state.correlation_id, more=more)))
        return result

    return settle_and_note


def keeping_superseded(superseded: Collection[str], settle_letter: SettleLetter) -> SettleLetter:
    """Wrap `settle_letter`: keep a letter whose edited copy is in the queue. The command that edited it stopped before it removed the original."""

    async def settle_unless_superseded(letter: Letter, message: Message) -> Removed | Retain:
        edited = letter.fingerprint.hex() in superseded and settle_letter is not discard
        return Retain(SUPERSEDED_REASON) if edited else await settle_letter(letter, message)

    return settle_unless_superseded
