"""Plans what a delivery to a webhook causes."""

from __future__ import annotations

from typing import Any

from worker.app.planning.publishing import PublishedMessage, PublishRecorder
from worker.config.automation import Webhook
from worker.core.exact_numbers import loads
from worker.core.plan import Plan
from worker.core.ports import Clock, Evaluator
from worker.core.topology import subscriber_dead_queue
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.poll_trigger import wake_queue
from worker.metrics import Metrics


async def plan_delivery(hook: Webhook, evaluator: Evaluator, clock: Clock, document: Any) -> Plan:
    """Receive the delivery as the public port does, and return the plan."""
    if not isinstance(document, dict):
        return Plan("skipped", reason="it is no delivery: a webhook takes objects")
    broker = PublishRecorder()
    intake = DeliveryIntake({hook.name: hook}, broker, evaluator, clock, Metrics())
    results = await intake.receive(f"/webhooks/{hook.name}", [document])
    if "skipped" in results:
        return Plan("skipped", reason="the route's `when`")
    by_queue = {each.routing_key: each for each in broker.published if not each.exchange}
    if (letter := by_queue.get(subscriber_dead_queue(hook.name))) is not None:
        headers = letter.message.headers
        return Plan("dead", dead_class=str(headers["dead-class"]), reason=str(headers["dead-reason"]))
    event = next((each.event for each in broker.published if each.exchange), None)
    woken = None if hook.wake is None else by_queue.get(wake_queue(hook.wake.subscriber))
    return Plan("event", event=event, runbook=hook.runbook or "", wake=None if woken is None else wake_of(hook, woken))


def wake_of(hook: Webhook, woken: PublishedMessage) -> dict[str, Any]:
    return {"subscriber": hook.wake.subscriber if hook.wake is not None else "", **loads(woken.message.body)}
