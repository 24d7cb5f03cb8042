"""Converts message headers to JSON types: AMQP also has times, decimals and bytes, as in the broker's `x-death`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

PLAIN = frozenset((str, int, float, bool, type(None)))


def to_jsonable(value: Any) -> Any:
    """Times become ISO text, bytes text, and decimals numbers; any other type becomes its text."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(name): to_jsonable(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
