"""Compiles the definition of a webhook."""

from __future__ import annotations

from worker.config.auths import compile_caller
from worker.config.automation import Wake, Webhook
from worker.config.expressions import compile_template
from worker.config.members import condition
from worker.config.models.webhooks import WakeDefinition, WebhookDefinition
from worker.config.neighbours import Neighbours, refer
from worker.config.parameters import template
from worker.config.spot import Spot
from worker.core.errors import Problem

DELIVERY_ID = "{{ id }}"
PURPOSES = ("runbook", "publish", "wake")


def compile_webhook(name: str, definition: WebhookDefinition, spot: Spot, around: Neighbours, problems: list[Problem]) -> Webhook:
    if not any(purpose in spot for purpose in PURPOSES):
        problems.append(spot.key_problem("a webhook needs at least one of `runbook`, `publish` and `wake`"))
    if definition.runbook is not None:
        refer(definition.runbook, "runbook", around.names("runbooks"), spot.child("runbook"), problems)
    if len(set(definition.events)) < len(definition.events):
        problems.append(spot.child("events").problem("`events` names an event twice"))
    publish = definition.publish
    key = spot.child("publish").child("routing_key")
    written = template(key, problems) if key.exists and isinstance(key.value, str) and key.value else None
    return Webhook(
        name=name,
        client=definition.client,
        auth=compile_caller(definition.auth, spot.child("auth"), problems),
        events=tuple(definition.events),
        id=template(spot.child("id"), problems) if definition.id is not None else compile_template(DELIVERY_ID),
        when=condition(spot.child("when"), problems),
        runbook=definition.runbook,
        exchange=publish.exchange if publish else None,
        routing_key=None if publish is None else written or compile_template(f"webhooks.{name}"),
        wake=compile_wake(definition.wake, spot.child("wake"), around, problems) if definition.wake else None,
    )


def compile_wake(definition: WakeDefinition, spot: Spot, around: Neighbours, problems: list[Problem]) -> Wake:
    refer(definition.subscriber, "subscriber", around.names("subscribers"), spot.child("subscriber"), problems)
    return Wake(definition.subscriber, template(spot.child("id"), problems) if "id" in spot else compile_template(definition.id))
