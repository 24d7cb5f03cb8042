"""An example for each key of route files, for the JSON Schema and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML

SECTIONS = "sections"


def read_examples() -> Mapping[str, Mapping[str, Any]]:
    """Return the examples, by definition and key; `sections` has one definition for each top-level key."""
    found: Mapping[str, Mapping[str, Any]] = YAML(typ="safe", pure=True).load(files("worker.config").joinpath("key_examples.yaml").read_text("utf-8"))
    return found


def with_example(member: dict[str, Any], written: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the schema of a key with an example: its own, the written one, or one of its values."""
    if "examples" in member:
        return member
    example = written[key] if key in written else one_of(member)
    return member if example is None else {**member, "examples": [example]}


def one_of(member: Mapping[str, Any]) -> Any:
    """Return a value of a fixed set, if possible not the default; None for any other schema."""
    if "const" in member:
        return member["const"]
    values = member.get("enum") or ([True, False] if member.get("type") == "boolean" else [])
    return next((value for value in values if value != member.get("default")), None)
