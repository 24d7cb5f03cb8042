"""Replays letters: publish, wait for the confirm, then the caller acks the letter. After a crash in between, the second copy meets the first one's claims."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, cast, get_args

import structlog

from worker.changes.cells import typed
from worker.changes.detect import Change, Kind
from worker.changes.records import content_hash
from worker.config.automation import Webhook
from worker.config.routes import Subscriber
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError, EvaluatorUnavailable, ExpressionError, PublishRefused, QueueMissing, Undecodable, Unpublishable, Unroutable
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.ports import Broker, Clock, Evaluator
from worker.flows.dead.letter import DeadQueue, Letter
from worker.flows.dead.plan import MarkDone, Replay, ReplayPlan, ReplayPlanner, Retain, incomplete_letter, replay_state
from worker.flows.hooks import effects as hook_effects
from worker.flows.hooks.effects import Effect
from worker.flows.polling import events
from worker.flows.polling.details import Unfetched
from worker.flows.running.run_message import run_id_of
from worker.threads import in_thread, read_body

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Removed:
    """Take the letter off its queue. `result`: replayed, filtered, done or discarded."""

    result: str


class SettleLetter(Protocol):
    async def __call__(self, letter: Letter, message: Message) -> Removed | Retain:
        """Settle one letter; the caller acks a removed one. Raises `BrokerError`."""
        ...


ReplayEffects = Callable[[Letter, Message, float], Awaitable[Sequence[Effect]]]
"""Returns the effects to publish for a letter at a time; none if the route's `when` filters it out.

Raises `ExpressionError`, `EvaluatorUnavailable`, `Undecodable`.
"""


class ReplayToQueue:
    """Replays letters that came from a queue into that queue only: other queues of its exchange received the message before."""

    def __init__(self, dead_queue: DeadQueue, home: str, plan: ReplayPlanner, broker: Broker, codec: HeaderCodec, clock: Clock | None = None) -> None:
        self._dead_queue = dead_queue
        self._home = home
        self._plan = plan
        self._broker = broker
        self._codec = codec
        self._clock = SystemClock() if clock is None else clock

    async def __call__(self, letter: Letter, message: Message) -> Removed | Retain:
        plan: ReplayPlan | None = incomplete_letter(letter)
        if plan is None:  # the plan may read a run, and a command replays hundreds of them together
            plan = await in_thread(partial(self._plan, letter, message))
        match plan:
            case Retain():
                return plan
            case MarkDone(onward):
                if onward is not None:
                    await self._publish(onward)
                logger.warning("letter.taken_as_done", route=self._dead_queue.route, message_id=letter.id, dead_class=str(letter.dead_class))
                return Removed("done")
            case Replay(verdict):
                try:
                    await self._publish(self._codec.copy(message, self._home, replay_state(letter, verdict, self._clock.now())))
                except Unpublishable as error:
                    return Retain(str(error))
                return Removed("replayed")

    async def _publish(self, message: Message) -> None:
        try:
            await self._broker.publish(message, routing_key=self._home)
        except Unroutable:
            raise QueueMissing(f"there is no queue {self._home!r} to put the letters back into: start the worker, which declares it") from None


class ReplayThroughRoute:
    """Replays letters that came from no queue: computes and publishes the effects of the current route for them."""

    def __init__(self, effects: ReplayEffects, broker: Broker, clock: Clock) -> None:
        self._effects = effects
        self._broker = broker
        self._clock = clock

    async def __call__(self, letter: Letter, message: Message) -> Removed | Retain:
        if keep := incomplete_letter(letter):
            return keep
        try:
            effects = await self._effects(letter, message, self._clock.now())
        except (EvaluatorUnavailable, ExpressionError, Undecodable) as error:
            return Retain(str(error))
        for effect in effects:
            try:
                await self._broker.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
            except (Unroutable, PublishRefused) as error:
                if self._broker.lost:
                    raise BrokerError(str(error)) from error
                return Retain(str(error))
        return Removed("replayed" if effects else "filtered")


async def discard(letter: Letter, message: Message) -> Removed | Retain:  # noqa: ARG001 - the signature of `SettleLetter`
    """Removes every letter."""
    return Removed("discarded")


FetchDetails = Callable[[Change], Awaitable[Change | Unfetched]]
"""Asks Halo for the whole record of a letter that holds only the row of the list."""


def subscriber_effects(route: Subscriber, source: str, evaluator: Evaluator, fetch: FetchDetails | None = None) -> ReplayEffects:
    """Return the replay of records whose events could not be built. The letter's id replaces the earlier content hash, which the letter does not hold.

    `fetch` is for routes with `details` or `include`: the replay calls it for letters of records that Halo did not give whole.
    """

    async def effects(letter: Letter, message: Message, now: float) -> list[Effect]:
        kind, key = message.headers.get("change"), message.headers.get("record")
        record, parent = events.split_parent(await body_object(message))
        if events.UNREAD_CHILDREN in message.headers:
            raise Undecodable("the letter holds a parent whose children could not be read: `cursor rewind` reads them again; then discard the letter")
        if kind not in get_args(Kind) or not isinstance(key, str):
            raise Undecodable("the headers `change` and `record` are missing or invalid: discard the letter")
        if route.report is not None and kind != "deleted":  # a row that did not fit is parked with its cells as text
            record, reason = typed(record, route.report.types)
            if reason:
                raise Undecodable(f"{reason}: edit the letter, or change `types` of the route")
        digest = None if kind == "deleted" else content_hash(record, route.ignore)
        change = Change(cast("Kind", kind), key, record, letter.id, digest, parent=parent)
        if fetch is not None and kind != "deleted" and (letter.dead_class != DeadClass.TRANSFORM or not route.include.keys() <= record.keys()):
            whole = await fetch(change)
            if isinstance(whole, Unfetched):
                raise Undecodable(f"{whole.reason}; the record stays")
            change = whole
        if not await events.passes_when(route, change, evaluator):
            return []
        event = await events.event_of(route, change, source, datetime.fromtimestamp(now, UTC), letter.id, evaluator)
        return [Effect(replace(event.message, message_id=letter.id), event.routing_key, event.exchange)]

    return effects


def webhook_effects(hook: Webhook, evaluator: Evaluator) -> ReplayEffects:
    """Return the replay of webhook deliveries on which the route's expressions failed."""

    async def effects(_: Letter, message: Message, now: float) -> Sequence[Effect]:
        document = await body_object(message)
        if not await hook_effects.passes_filter(hook, document, evaluator):
            return []
        delivery = run_id_of(f"/webhooks/{hook.name}", await hook_effects.delivery_identity(hook, document, evaluator))
        return await hook_effects.delivery_effects(hook, document, delivery, now, evaluator)

    return effects


async def unrouted_effects(letter: Letter, message: Message, _: float) -> list[Effect]:
    """Return the replay of an event that no queue took: the same event to its exchange."""
    state = letter.state
    if not state.exchange or "original-routing-key" not in message.headers:
        raise Undecodable("the headers do not name the event's exchange and routing key: discard the letter")
    return [Effect(replace(message, headers=state.headers, message_id=letter.id, expiration=None), state.routing_key, state.exchange)]


async def body_object(message: Message) -> dict[str, Any]:
    document = await read_body(message)
    if not isinstance(document, dict):
        raise Undecodable("the body is not a JSON object")
    return document
