"""Contexts and results as JSON, within their size limits."""

from __future__ import annotations

import math
from typing import Any

from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.core.exact_numbers import EXACT, may_have_fractions, unfinished, without_fractions
from worker.evaluator.limits import MAX_INPUT, MAX_OUTPUT, MAX_VALUES

MOST_SHORTER = 2
"""The maximum factor between the bytes with fractions and without: `1.0,` becomes `1,`."""


def context_json(context: Any) -> bytes:
    """Raises `ExpressionError` for what JSON cannot hold or what is too large."""
    return as_json(context, MAX_INPUT, "the input")


def result_json(value: Any) -> bytes:
    """Return the JSON of a result; empty for UNDEFINED. Raises `ExpressionError` for values that JSON cannot hold or that are too large."""
    if value is UNDEFINED:
        return b""
    check_numbers(value)
    text = as_json(value, MAX_OUTPUT, "the result")
    if text.count(b",") >= MAX_VALUES and (count := value_count(value)) > MAX_VALUES:
        raise ExpressionError(f"the result has {count:,} values; an expression yields at most {MAX_VALUES:,}")
    return text


def as_json(value: Any, limit: int, what: str) -> bytes:
    """Raises `ExpressionError` for what JSON cannot hold or what is too large."""
    try:
        text = unfinished(value)
        if may_have_fractions(text) and len(text) <= MOST_SHORTER * limit:
            text = without_fractions(text)
    except TypeError:
        raise ExpressionError(f"{what} cannot be written as JSON") from None
    if len(text) > limit:
        raise ExpressionError(f"{what} has {len(text):,} bytes as JSON; an expression takes at most {limit:,}")
    return text


def check_numbers(value: Any) -> None:
    """Raise `ExpressionError` for an infinite number, which JSON would silently write as null, and for a calculated number beyond 2^53."""
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ExpressionError("a number in the result is not finite (a division by zero?)")
        if abs(value) > EXACT:
            raise ExpressionError("a number in the result is beyond 2^53, where expressions calculate approximately: keep it as text")
    elif isinstance(value, (dict, list)):
        for child in value.values() if isinstance(value, dict) else value:
            check_numbers(child)


def value_count(value: Any) -> int:
    """Return the number of values in it, including itself."""
    if isinstance(value, dict):
        return 1 + sum(map(value_count, value.values()))
    return 1 + sum(map(value_count, value)) if isinstance(value, list) else 1
