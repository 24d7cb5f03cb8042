"""Contexts and results as JSON, within their size limits."""

from __future__ import annotations

import math
from typing import Any

import orjson

from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.evaluator.limits import MAX_INPUT, MAX_OUTPUT, MAX_VALUES


def context_json(context: Any) -> bytes:
    """Raises `ExpressionError` for what JSON cannot hold or what is too large."""
    return as_json(context, MAX_INPUT, "the input")


def result_json(value: Any) -> bytes:
    """The JSON of a result; nothing for UNDEFINED. Raises `ExpressionError` for what JSON cannot hold or what is too large."""
    if value is UNDEFINED:
        return b""
    if not finite(value):
        raise ExpressionError("a number in the result is not finite (a division by zero?)")
    text = as_json(value, MAX_OUTPUT, "the result")
    if text.count(b",") >= MAX_VALUES and (count := counted(value)) > MAX_VALUES:
        raise ExpressionError(f"the result has {count:,} values; an expression yields at most {MAX_VALUES:,}")
    return text


def as_json(value: Any, limit: int, what: str) -> bytes:
    """Raises `ExpressionError` for what JSON cannot hold or what is too large."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        raise ExpressionError(f"{what} cannot be written as JSON") from None
    if len(text) > limit:
        raise ExpressionError(f"{what} has {len(text):,} bytes as JSON; an expression takes at most {limit:,}")
    return text


def finite(value: Any) -> bool:
    """Whether no number in the value is infinite or not a number; JSON would silently write null."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return all(map(finite, value)) if isinstance(value, list) else True


def counted(value: Any) -> int:
    """The number of values in it, itself included."""
    if isinstance(value, dict):
        return 1 + sum(map(counted, value.values()))
    return 1 + sum(map(counted, value)) if isinstance(value, list) else 1
