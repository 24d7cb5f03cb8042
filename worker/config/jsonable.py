"""Converts message headers to JSON types: AMQP also has times, decimals and bytes, as in the broker's `x-death`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from worker.core.exact_numbers import Numbers

PLAIN = frozenset((str, int, float, bool, type(None)))


def to_jsonable(value: Any) -> Any:
    """Times become ISO text, bytes text, decimals numbers, and numbers that are not finite text; any other type becomes its text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such number
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
        return Numbers().fraction(str(value)) if value.is_finite() else str(value)
    return str(value)
