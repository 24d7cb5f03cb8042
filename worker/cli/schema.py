"""Prints the JSON Schema of route files."""

from __future__ import annotations

import sys

import orjson

from worker.config.schema import json_schema


def print_schema() -> int:
    sys.stdout.write(f"{orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode()}\n")
    return 0
