"""Functions of SQL Server that reports may call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Any

from worker.sandbox.dates import comparable, parse_moment

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
BUILT_IN = frozenset(
    {
        *("abs", "avg", "coalesce", "concat", "count", "dense_rank", "first_value", "iif", "lag", "last_value", "lead", "like", "lower", "ltrim", "max", "min"),
        *("ntile", "nullif", "rank", "replace", "round", "row_number", "rtrim", "string_agg", "substr", "substring", "sum", "trim", "upper"),
    }
)


def functions(now: datetime) -> dict[str, tuple[int, Callable[..., Any]]]:
    """Functions by name, with the number of their arguments (-1: any)."""
    return {
        "getdate": (0, lambda: comparable(now)),
        "getutcdate": (0, lambda: comparable(now)),
        "isnull_value": (2, lambda value, other: other if value is None else value),
        "len": (1, lambda value: None if value is None else len(str(value).rstrip(" "))),
        "charindex": (2, lambda wanted, text: None if text is None else str(text).lower().find(str(wanted).lower()) + 1),
        "left_part": (2, lambda value, count: None if value is None else str(value)[:count]),
        "right_part": (2, lambda value, count: None if value is None else str(value)[-count:] if count else ""),
        "concat": (-1, lambda *values: "".join("" if value is None else str(value) for value in values)),
        "year": (1, lambda text: _part(text, 0, 4)),
        "month": (1, lambda text: _part(text, 5, 7)),
        "day": (1, lambda text: _part(text, 8, 10)),
        "dateadd": (3, _dateadd),
        "datediff": (3, _datediff),
    }


def register_functions(connection: Connection, now: datetime) -> frozenset[str]:
    """Returns the names of all functions that a report may call."""
    own = functions(now)
    for name, (count, function) in own.items():
        connection.create_function(name, count, function)
    return BUILT_IN | own.keys()


def _part(text: Any, start: int, stop: int) -> int | None:
    return None if text is None else int(str(text)[start:stop])


def _dateadd(unit: str, count: int, text: Any) -> str | None:
    moment = parse_moment(str(text)) if text is not None else None
    return None if moment is None else comparable(moment + timedelta(seconds=UNITS[unit] * count))


def _datediff(unit: str, first: Any, last: Any) -> int | None:
    """The number of boundaries of the unit between two times."""
    start, end = (parse_moment(str(text)) if text is not None else None for text in (first, last))
    if start is None or end is None:
        return None
    return int(end.timestamp() // UNITS[unit] - start.timestamp() // UNITS[unit])
