"""Webhooks: what Halo delivers to the worker, and what a delivery does."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.events import EVENTS, HIGHEST
from worker.config.models.base import BrokerName, Definition, Expression, Text, mistake
from worker.config.models.callers import CallerAuthDefinition
from worker.core.suggest import did_you_mean


def event(value: Any) -> int:
    """The number of an event, by its word or as it is."""
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
    """Where deliveries are published."""

    exchange: BrokerName = Field(default="halo", description="A durable topic exchange; it is declared.")
    routing_key: Text | None = Field(default=None, description="Text with expressions over the delivery; `webhooks.` and the webhook's name by default.")


class WakeDefinition(Definition):
    """A subscriber that is to read a record again at once."""

    subscriber: Text = Field(description="The subscriber.")
    id: Text = Field(default="{{ object_id }}", description="The id of the record; by default that of Halo's deliveries.")


class WebhookDefinition(Definition):
    """Receives Halo's deliveries at /webhooks/<name>."""

    client: Text = Field(description="The client whose Halo delivers.")
    events: list[Event] = Field(default=[], description="The events that are to be delivered; `halo-worker register` tells Halo of them.")
    auth: CallerAuthDefinition = Field(description="How Halo proves who it is.")
    id: Text | None = Field(default=None, description="What identifies a delivery; Halo's `id` by default, and without one the whole body.")
    when: Expression | None = Field(default=None, description="Only deliveries for which this holds do something; others are accepted and counted.")
    runbook: Text | None = Field(default=None, description="A runbook to start with the delivery.")
    publish: PushDefinition | None = Field(default=None, description="An exchange to publish the delivery to.")
    wake: WakeDefinition | None = Field(default=None, description="A subscriber that is to read the record again.")
