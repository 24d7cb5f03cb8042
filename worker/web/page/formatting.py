"""Numbers, ages and states in words, as the pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isnan
from typing import Any

MARKS = {"running": "✓", "waiting": "…", "paused": "‖", "down": "✗", "done": "✓", "dead": "✗", "discarded": "-"}
"""A sign beside the word of each state, so that no state shows by its colour alone."""
SEVERITY = {"down": 0, "waiting": 2, "paused": 3, "running": 4}
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
REMEDIES = {
    "decode": "The body is not the JSON that the route takes. Edit it, or have the sender send it again and discard this one.",
    "transform": "An expression failed on this body. Edit the body, or correct the route file and check it with `halo-worker plan`; then replay.",
    "rejected": "Halo refused the request. Correct what the reason names, in Halo, in the route or in the body; then replay.",
    "auth": "The agent of the client may not do this, or its token was refused. Correct the rights in Halo; then replay.",
    "in_doubt": "Halo may have carried it out. Look in Halo, then say what you found; a replay without an answer is refused.",
    "retries_exhausted": "Every attempt failed. Once the cause that the reason names is gone, replay.",
    "crashed": "The worker ended without a result each time. Look into the log of that time before you replay it.",
    "failed": "The run ended so by its own flow chart. Correct what it names; a replay goes on at the step where it stopped.",
    "unrouted": "No queue is bound for this event. Bind one, then replay; or discard it if no system needs it.",
    "unknown": "Another system or the broker put it here. Look at its headers before you replay or discard it.",
}


def age(seconds: float | None) -> str:
    """Return the age in its two largest units: 3 min 20 s."""
    if seconds is None or isnan(seconds):
        return ""
    rest = max(0, round(seconds))
    parts = []
    for size, unit in UNITS:
        if rest >= size:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    if rest or not parts:
        parts.append(f"{rest} s")
    return " ".join(parts[:2])


def moment(stamp: float | None) -> str:
    """Return the time in UTC, to the second."""
    return "" if stamp is None else datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(stamp: float | None) -> str:
    """Return the time for the `datetime` of a `time` element."""
    return "" if stamp is None else datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def with_noun(count: int, name: str, names: str = "") -> str:
    return f"{count:,} {name if count == 1 else names or name + 's'}"


def mark(state: str) -> str:
    return MARKS.get(state, "?")


def urgency(route: Mapping[str, Any]) -> tuple[int, str]:
    """Return the sort key: routes that need an operator come first."""
    rank = SEVERITY.get(route["state"], 0)
    return (1 if rank > 1 and route["dead"] else rank, route["name"])
