"""The messages that one delivery of a Halo webhook causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from worker.config.automation import Webhook
from worker.core.entropy import new_id
from worker.core.errors import ExpressionError
from worker.core.exact_numbers import digest_text
from worker.core.json_codec import encode
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.ports import Evaluator
from worker.core.topology import Topology, browsable_queue, common_topology, events_topology, subscriber_dead_queue
from worker.flows.hooks.poll_trigger import wake_queue, wake_topology
from worker.flows.polling.events import TYPE_PREFIX, parked_headers
from worker.flows.running.run_message import run_queue, start_message

MAX_KEY = 255  # bytes of AMQP's short string


@dataclass(frozen=True, slots=True)
class Effect:
    """A message and its destination."""

    message: Message
    routing_key: str
    exchange: str = ""


def webhook_topology(hook: Webhook) -> Topology:
    """Return the exchange of a webhook, the queue that wakes its subscriber, and its dead queue. The queues of its runbook belong to the runbook."""
    needed = common_topology() + Topology(queues=(browsable_queue(subscriber_dead_queue(hook.name)),))
    if hook.exchange is not None:
        needed += events_topology(hook.exchange)
    return needed if hook.wake is None else needed + wake_topology(hook.wake.subscriber)


def webhook_bindings(hook: Webhook) -> dict[str, Any]:
    """The variables for a webhook's expressions, besides the delivery."""
    return {"route": hook.name, "client": hook.client}


async def delivery_identity(hook: Webhook | None, document: Mapping[str, Any], evaluator: Evaluator) -> str:
    """Identifies copies of a delivery: the result of the route's `id`, otherwise a hash of the content. Raises `ExpressionError`."""
    found = await hook.id.evaluate(document, webhook_bindings(hook), evaluator) if hook is not None and hook.id is not None else None
    if found not in (None, ""):
        return found if isinstance(found, str) else digest_text(found).decode()
    return blake2b(digest_text(document), digest_size=16).hexdigest()


async def passes_filter(hook: Webhook, document: Mapping[str, Any], evaluator: Evaluator) -> bool:
    """The result of the route's `when`. Raises `ExpressionError`."""
    return hook.when is None or await hook.when.holds(document, webhook_bindings(hook), evaluator)


async def delivery_effects(hook: Webhook, document: dict[str, Any], delivery: str, now: float, evaluator: Evaluator) -> list[Effect]:
    """All messages that the route defines. `delivery`: the run id and the dedupe key. Raises `ExpressionError`."""
    effects = []
    if hook.runbook is not None:
        effects.append(Effect(start_message(hook.runbook, delivery, document, now), run_queue(hook.runbook)))
    if hook.exchange is not None:
        effects.append(Effect(webhook_event(hook, document, delivery, now), await routing_key_of(hook, document, evaluator), hook.exchange))
    if hook.wake is not None:
        record = await hook.wake.id.evaluate(document, webhook_bindings(hook), evaluator)
        effects.append(Effect(Message(encode({"id": record}), message_id=new_id(), correlation_id=delivery), wake_queue(hook.wake.subscriber)))
    return effects


def webhook_event(hook: Webhook, document: Mapping[str, Any], delivery: str, now: float) -> Message:
    """The delivery as a CloudEvent."""
    at = datetime.fromtimestamp(now, UTC)
    headers = {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": delivery,
        "cloudEvents_source": f"/webhooks/{hook.name}",
        "cloudEvents_type": f"{TYPE_PREFIX}.webhook",
        "cloudEvents_time": at.isoformat().replace("+00:00", "Z"),
        "dedupe-key": delivery,
    }
    if isinstance(record := document.get("object_id"), (int, str)):
        headers["cloudEvents_subject"] = str(record)
    return Message(encode(document), headers, message_id=new_id(), correlation_id=delivery, timestamp=at)


async def routing_key_of(hook: Webhook, document: Mapping[str, Any], evaluator: Evaluator) -> str:
    key = f"webhooks.{hook.name}" if hook.routing_key is None else await hook.routing_key.evaluate(document, webhook_bindings(hook), evaluator)
    if not isinstance(key, str) or len(key.encode()) > MAX_KEY:
        raise ExpressionError(f"publish.routing_key must yield a text of at most {MAX_KEY} bytes")
    return key


def parked_delivery(route: str, document: Mapping[str, Any], reason: str, now: float) -> Effect:
    """Return a letter for the route's dead queue: the route's expressions fail on this delivery."""
    headers = parked_headers(reason, DeadClass.TRANSFORM, route, datetime.fromtimestamp(now, UTC))
    return Effect(Message(encode(document), headers, message_id=new_id()), subscriber_dead_queue(route))
