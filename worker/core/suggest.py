"""The nearest valid names for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from worker.core.route_names import routes_of_name


def nearest(name: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of `valid`, best first, compared without case. If the name means the routes of several clients, return only those."""
    by_lower = {candidate.lower(): candidate for candidate in valid}
    if several := routes_of_name(name, by_lower.values()):
        return several[:count]
    return [by_lower[found] for found in get_close_matches(name.lower(), by_lower, count, 0.6)]


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """`; did you mean A or B?`, or nothing when no name is near."""
    found = nearest(name, valid)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def choices(name: str, valid: Iterable[str], *, none: str = "there are none") -> str:
    """The end of a sentence that reports a missing `name`: the nearest of `valid`, else all of them, else `none`."""
    known = list(valid)
    return did_you_mean(name, known) or (f"; there are {', '.join(known)}" if known else f"; {none}")
