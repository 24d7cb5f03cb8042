"""What becomes of the letters that came from no queue when they are replayed: records, deliveries, and events that nobody took. Today's routes decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast, get_args

from worker.changes.detect import Change, Kind
from worker.changes.records import content_hash
from worker.config.automation import Webhook
from worker.config.routes import Subscriber
from worker.core.errors import Undecodable
from worker.core.jsontext import decode
from worker.core.message import Message
from worker.core.ports import Evaluator
from worker.flows.dead.letter import Letter
from worker.flows.hooks import effects as hook_effects
from worker.flows.hooks.effects import Effect
from worker.flows.polling import events
from worker.flows.running.run_message import run_id_of

ReplayEffects = Callable[[Letter, Message, float], Awaitable[Sequence[Effect]]]
"""What is to be published for a letter at a moment; nothing where the route's filter leaves it out. Raises `ExpressionError`, `EvaluatorUnavailable`, `Undecodable`."""


def subscriber_effects(route: Subscriber, source: str, evaluator: Evaluator) -> ReplayEffects:
    """A record that could not become an event; the letter's id stands in for the content that was known before, which the letter does not hold."""

    async def effects(letter: Letter, message: Message, now: float) -> list[Effect]:
        kind, key = message.headers.get("change"), message.headers.get("record")
        record = body_object(message)
        if kind not in get_args(Kind) or not isinstance(key, str):
            raise Undecodable("the letter does not say which record it is, and how it had changed")
        digest = None if kind == "deleted" else content_hash(record, route.ignore)
        change = Change(cast("Kind", kind), key, record, letter.id, digest)
        if not await events.wanted(route, change, evaluator):
            return []
        event = await events.event_of(route, change, source, datetime.fromtimestamp(now, UTC), letter.id, evaluator)
        return [Effect(replace(event.message, message_id=letter.id), event.routing_key, event.exchange)]

    return effects


def webhook_effects(hook: Webhook, evaluator: Evaluator) -> ReplayEffects:
    """A delivery of Halo's that the route's expressions could not read."""

    async def effects(_: Letter, message: Message, now: float) -> Sequence[Effect]:
        document = body_object(message)
        if not await hook_effects.passes_filter(hook, document, evaluator):
            return []
        delivery = run_id_of(f"/webhooks/{hook.name}", await hook_effects.delivery_identity(hook, document, evaluator))
        return await hook_effects.delivery_effects(hook, document, delivery, now, evaluator)

    return effects


async def unrouted_effects(letter: Letter, message: Message, _: float) -> list[Effect]:
    """An event that no queue took goes the way that it was to go: nobody has it yet."""
    state = letter.state
    if not state.exchange or "original-routing-key" not in message.headers:
        raise Undecodable("the event does not say which exchange it was for")
    return [Effect(replace(message, headers=state.headers, message_id=letter.id, expiration=None), state.routing_key, state.exchange)]


def body_object(message: Message) -> dict[str, Any]:
    document = decode(message.body)
    if not isinstance(document, dict):
        raise Undecodable("the body is no JSON object")
    return document
