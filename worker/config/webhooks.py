"""Webhooks: the deliveries of Halo, and the effects of each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.automation import Wake, Webhook
from worker.config.callers import CallerAuthDefinition, compile_caller
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build, compile_members, mistake
from worker.config.events import EVENTS, HIGHEST
from worker.config.examples import Examples, compile_examples
from worker.config.expressions import compile_template
from worker.config.references import References, check_reference
from worker.config.value_types import ConditionText, ExchangeName, TemplateText, Text
from worker.core.route_names import name_for
from worker.core.suggest import did_you_mean

DELIVERY_ID = "{{ id }}"
PURPOSES = ("runbook", "publish", "wake")


def event(value: Any) -> int:
    """The number of an event, from its name or number."""
    if isinstance(value, str) and value in EVENTS:
        return EVENTS[value]
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= HIGHEST:
        return value
    near = did_you_mean(value, EVENTS) if isinstance(value, str) else ""
    raise mistake(f"is not an event of Halo: write its number, or one of {', '.join(EVENTS)}{near}")


Event = Annotated[
    int,
    BeforeValidator(event),
    WithJsonSchema({"anyOf": [{"enum": list(EVENTS)}, {"type": "integer", "minimum": 1, "maximum": HIGHEST}]}),
]


class PushDefinition(Definition):
    """The destination of the deliveries."""

    exchange: ExchangeName = Field(
        default="halo", description="An exchange; the worker takes one that exists as it is, and declares an absent one as a topic exchange."
    )
    routing_key: TemplateText | None = Field(default=None, description="Text with expressions over the delivery; default: `webhooks.` and the webhook's name.")


class WakeDefinition(Definition):
    """A subscriber that reads a record again immediately."""

    subscriber: Text = Field(description="The subscriber.")
    id: TemplateText = Field(default="{{ object_id }}", description="The id of the record; default: that of Halo's deliveries.")


class WebhookDefinition(Definition):
    """Receives Halo's deliveries at /webhooks/<name>."""

    client: Text = Field(description="The client whose Halo delivers.")
    events: list[Event] = Field(default=[], description="The events that Halo delivers; `halo-worker register` sends them to Halo. Default: any event.")
    auth: CallerAuthDefinition = Field(description="The authentication of Halo's deliveries.")
    id: TemplateText | None = Field(default=None, description="The identity of a delivery; default: Halo's `id`, otherwise the whole body.")
    when: ConditionText | None = Field(
        default=None, description="The worker processes only deliveries for which this is true; it accepts and counts the others."
    )
    runbook: Text | None = Field(default=None, description="A runbook that the delivery starts.")
    publish: PushDefinition | None = Field(default=None, description="An exchange to publish the delivery to.")
    wake: WakeDefinition | None = Field(default=None, description="A subscriber that reads the record again immediately.")
    examples: Examples = Field(default=[], description="Inputs and their expected results; `halo-worker test` runs them offline.")


def compile_webhook(definition: WebhookDefinition, node: ConfigNode, references: References) -> Webhook:
    compiled = compile_members(WebhookDefinition, node)
    if not any(purpose in node for purpose in PURPOSES):
        node.add_key_error("a webhook needs at least one of `runbook`, `publish` and `wake`")
    if definition.runbook is not None:
        check_reference(definition.runbook, "runbook", references.names("runbooks"), node.child("runbook"))
    if len(set(definition.events)) < len(definition.events):
        node.child("events").add_error("`events` names an event twice")
    publish = definition.publish
    routing_key = compile_members(PushDefinition, node.child("publish"))["routing_key"] or compile_template(f"webhooks.{node.name}")
    return build(
        Webhook,
        definition,
        compiled,
        name=node.name,
        auth=compile_caller(definition.auth, node.child("auth")),
        id=compiled["id"] or compile_template(DELIVERY_ID),
        exchange=publish.exchange if publish else None,
        routing_key=routing_key if publish else None,
        wake=compile_wake(definition.wake, definition.client, node.child("wake"), references) if definition.wake else None,
        examples=compile_examples(definition.examples, node.child("examples")),
    )


def compile_wake(definition: WakeDefinition, client: str, node: ConfigNode, references: References) -> Wake:
    """Compile a wake. For a subscriber over several clients, only the client whose Halo delivers is woken."""
    names = references.subscribers()
    own = name_for(definition.subscriber, client)
    name = own if own in names else definition.subscriber
    check_reference(name, "subscriber", names, node.child("subscriber"))
    return build(Wake, definition, subscriber=name, id=compile_members(WakeDefinition, node)["id"] or compile_template(definition.id))
