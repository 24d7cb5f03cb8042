"""Checks whether a value fits the published type of a query parameter. Halo silently takes a misfit as false or as no filter, or refuses it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

WHOLE = re.compile(r"[-+]?[0-9]{1,19}")
MAX_INTEGER = 2**63
BOOLEANS = frozenset({"true", "false"})
UUID = re.compile(r"\{?[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}\}?")
NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")


def is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in BOOLEANS)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of at most 64 bits, also as text or as Halo's 3.0."""
    if isinstance(value, str):
        return WHOLE.fullmatch(value.strip()) is not None and abs(int(value)) < MAX_INTEGER
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1 and abs(value) < MAX_INTEGER


def is_number(value: Any) -> bool:
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_moment(value: Any) -> bool:
    """Whether a value is a date, or a date and time, in ISO 8601."""
    if not isinstance(value, str):
        return isinstance(value, date)
    try:
        datetime.fromisoformat(value.strip())
    except ValueError:
        return False
    return True


def is_uuid(value: Any) -> bool:
    return isinstance(value, str) and UUID.fullmatch(value.strip()) is not None


def is_list(value: Any) -> bool:
    """Whether a value is a list of whole numbers, or a text with commas, also in brackets; or true or false, as clients send for `includeclosed`."""
    if is_boolean(value):
        return True
    if isinstance(value, str):
        value = value.strip().removeprefix("[").removesuffix("]").split(",")
    return all(map(is_whole, value)) if isinstance(value, list | tuple) else is_whole(value)


TRUTH = "true or false (Halo takes anything else for false)"
WHOLE_NUMBER, DATE = "a whole number", "a date or time in ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00Z"
FITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (is_boolean, TRUTH),
    "boolean": (is_boolean, TRUTH),
    "int": (is_whole, WHOLE_NUMBER),
    "integer": (is_whole, WHOLE_NUMBER),
    "int64": (is_whole, WHOLE_NUMBER),
    "double": (is_number, "a number"),
    "number": (is_number, "a number"),
    "date": (is_moment, DATE),
    "date-time": (is_moment, DATE),
    "DateTime": (is_moment, DATE),
    "uuid": (is_uuid, "a GUID"),
    "List<int>": (is_list, "whole numbers, separated by commas (or true or false)"),
}
"""The checks by published type; every value fits any other type."""


def misfit(kind: str, value: Any) -> str | None:
    """Return `must be …` if a value does not fit the type, else None; null fits, since it leaves the parameter out. The text never holds the value."""
    fits, words = FITS.get(kind, (None, ""))
    return None if fits is None or value is None or fits(value) else f"must be {words}"


def normalized(kind: str, value: Any) -> Any:
    """Return a fitting text without surrounding space; `True` becomes `true`."""
    if not isinstance(value, str) or kind not in FITS:
        return value
    return value.strip().lower() if FITS[kind][0] is is_boolean else value.strip()
