"""Compiles the definition of a webhook."""

from __future__ import annotations

from worker.config.auths import compile_caller
from worker.config.automation import Wake, Webhook
from worker.config.config_node import ConfigNode
from worker.config.expressions import compile_template
from worker.config.members import condition
from worker.config.models.webhooks import WakeDefinition, WebhookDefinition
from worker.config.parameters import template
from worker.config.references import References, check_reference
from worker.core.errors import Problem

DELIVERY_ID = "{{ id }}"
PURPOSES = ("runbook", "publish", "wake")


def compile_webhook(name: str, definition: WebhookDefinition, node: ConfigNode, references: References, problems: list[Problem]) -> Webhook:
    if not any(purpose in node for purpose in PURPOSES):
        problems.append(node.key_problem("a webhook needs at least one of `runbook`, `publish` and `wake`"))
    if definition.runbook is not None:
        check_reference(definition.runbook, "runbook", references.names("runbooks"), node.child("runbook"), problems)
    if len(set(definition.events)) < len(definition.events):
        problems.append(node.child("events").problem("`events` names an event twice"))
    publish = definition.publish
    key = node.child("publish").child("routing_key")
    written = template(key, problems) if key.exists and isinstance(key.value, str) and key.value else None
    return Webhook(
        name=name,
        client=definition.client,
        auth=compile_caller(definition.auth, node.child("auth"), problems),
        events=tuple(definition.events),
        id=template(node.child("id"), problems) if definition.id is not None else compile_template(DELIVERY_ID),
        when=condition(node.child("when"), problems),
        runbook=definition.runbook,
        exchange=publish.exchange if publish else None,
        routing_key=None if publish is None else written or compile_template(f"webhooks.{name}"),
        wake=compile_wake(definition.wake, node.child("wake"), references, problems) if definition.wake else None,
    )


def compile_wake(definition: WakeDefinition, node: ConfigNode, references: References, problems: list[Problem]) -> Wake:
    check_reference(definition.subscriber, "subscriber", references.names("subscribers"), node.child("subscriber"), problems)
    return Wake(definition.subscriber, template(node.child("id"), problems) if "id" in node else compile_template(definition.id))
