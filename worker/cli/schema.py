"""Prints the JSON Schema of route files."""

from __future__ import annotations

from worker.cli.console import write_json
from worker.config.schema import json_schema


def print_schema() -> int:
    write_json(json_schema())
    return 0
