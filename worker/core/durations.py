"""Durations as route files and queue names write them: `30s`, `5m`, `2h`, `1d`, `500ms`."""

from __future__ import annotations

import re

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PATTERN = re.compile(r"(\d+)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError with the valid forms."""
    match = PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 1d")
    return int(match[1]) * UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact form, such as `90s` or `1m`; `parse_duration` reads it back to the millisecond."""
    milliseconds = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(UNITS[unit] * 1000)
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
