"""The JSON Schema of route files: editors complete keys, show descriptions and underline errors with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from worker.config.key_examples import SECTIONS, read_examples, with_example
from worker.config.kinds import KINDS
from worker.config.names import NAME
from worker.config.tables import SCHEMA, SECTION
from worker.config.value_types import DURATION
from worker.core.durations import format_duration


class Generator(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of names: editors would show them instead of the descriptions."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  the signature is pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """One schema for every route file, draft 2020-12."""
    references, shared = models_json_schema([(kind.model, "validation") for kind in KINDS.values()], schema_generator=Generator)
    written = read_examples()
    members = {
        section: {
            "description": kind.about,
            "examples": [written[SECTIONS][section]],
            "type": "object",
            "propertyNames": {"pattern": f"^{NAME.pattern}$"},
            "additionalProperties": references[kind.model, "validation"],
        }
        for section, kind in KINDS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "halo-worker route file",
        "type": "object",
        "additionalProperties": False,
        "properties": members | {SECTION: dict(SCHEMA)},
        "$defs": {name: with_examples(with_written_defaults(definition), written.get(name, {})) for name, definition in shared["$defs"].items()},
    }


def with_examples(definition: dict[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a definition with an example for every key."""
    properties = {key: with_example(member, written, key) for key, member in definition.get("properties", {}).items()}
    return {**definition, "properties": properties}


def with_written_defaults(schema: Any) -> Any:
    """The schema with its defaults as route files have them: durations with a unit, and no default instead of null."""
    if isinstance(schema, list):
        return [with_written_defaults(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: with_written_defaults(member) for name, member in schema.items() if (name, member) != ("default", None)}
    choices = made.get("anyOf", [])
    if {"type": "null"} in choices and len(choices) == 2:  # noqa: PLR2004  an optional member is absent rather than null, so that editors show its type
        made |= next(choice for choice in choices if choice != {"type": "null"})
        del made["anyOf"]
    item = schema.get("items", {})
    if "default" in made and schema.get("pattern") == DURATION:
        made["default"] = format_duration(made["default"])
    elif "default" in made and isinstance(item, dict) and item.get("pattern") == DURATION:
        made["default"] = [format_duration(delay) for delay in made["default"]]
    return made
