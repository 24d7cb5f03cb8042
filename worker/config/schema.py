"""The JSON Schema of route files, for editors: completion, descriptions, and mistakes underlined while typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from worker.config.models.base import DURATION
from worker.config.models.clients import ClientDefinition
from worker.config.models.integrations import IntegrationDefinition
from worker.config.models.publishers import PublisherDefinition
from worker.config.models.runbooks import RunbookDefinition
from worker.config.models.subscribers import SubscriberDefinition
from worker.config.models.webhooks import WebhookDefinition
from worker.config.names import NAME
from worker.core.durations import format_duration

DEFINITIONS: Mapping[str, type[BaseModel]] = {
    "clients": ClientDefinition,
    "subscribers": SubscriberDefinition,
    "publishers": PublisherDefinition,
    "integrations": IntegrationDefinition,
    "runbooks": RunbookDefinition,
    "webhooks": WebhookDefinition,
}
ABOUT = {
    "clients": "The Halo tenants that the routes talk to, by name.",
    "subscribers": "What is read from Halo and published to RabbitMQ, by name.",
    "publishers": "What is taken from queues and sent to Halo, by name.",
    "integrations": "Other APIs with their authorization and methods, by name.",
    "runbooks": "Flow charts of methods and Halo API actions, by name.",
    "webhooks": "What Halo delivers to the worker, by name.",
}


class Generator(GenerateJsonSchema):
    """Without the titles that pydantic makes of names: editors show them instead of the descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  the signature is pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """One schema for every route file, draft 2020-12."""
    references, shared = models_json_schema([(model, "validation") for model in DEFINITIONS.values()], schema_generator=Generator)
    members = {
        kind: {
            "description": ABOUT[kind],
            "type": "object",
            "propertyNames": {"pattern": f"^{NAME.pattern}$"},
            "additionalProperties": references[model, "validation"],
        }
        for kind, model in DEFINITIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "halo-worker route file",
        "type": "object",
        "additionalProperties": False,
        "properties": members,
        "$defs": {name: as_written(definition) for name, definition in shared["$defs"].items()},
    }


def as_written(schema: Any) -> Any:
    """The schema with its defaults as people write them: durations with their unit, nothing where there is none."""
    if isinstance(schema, list):
        return [as_written(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: as_written(member) for name, member in schema.items() if (name, member) != ("default", None)}
    choices = made.get("anyOf", [])
    if {"type": "null"} in choices and len(choices) == 2:  # noqa: PLR2004  an optional member: absent rather than null, so that editors show what it is
        made |= next(choice for choice in choices if choice != {"type": "null"})
        del made["anyOf"]
    item = schema.get("items", {})
    if "default" in made and schema.get("pattern") == DURATION:
        made["default"] = format_duration(made["default"])
    elif "default" in made and isinstance(item, dict) and item.get("pattern") == DURATION:
        made["default"] = [format_duration(delay) for delay in made["default"]]
    return made
