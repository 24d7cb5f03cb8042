"""Gives the cells of a report, which Halo writes as text, the types that a route names. A cell that does not fit is never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from worker.changes.records import FIRST_REAL_YEAR
from worker.core.exact_numbers import loads

INT = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MAX_DIGITS = 400  # characters of a number
BOOLS = {"true": True, "1": True, "false": False, "0": False}
EXPECTED = {
    "int": "a whole number such as 12",
    "number": "a number such as 12.5",
    "bool": "True, False, 1 or 0",
    "time": "an ISO date: write CONVERT(varchar(33), …, 126) in the SQL",
    "text": "text",
}


class UnfitCell(ValueError):
    """A cell that does not fit its type."""


def typed(row: Mapping[str, Any], types: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Return the record and an empty reason; for a row that does not fit, the row as it is and the reason. The reason holds no data."""
    record = dict(row)
    for name, kind in types.items():
        try:
            record[name] = cell(row.get(name), kind)  # Halo leaves out members that are null
        except UnfitCell:
            return dict(row), f"column `{name}` is not {EXPECTED[kind]}"
    return record, ""


def cell(value: Any, kind: str) -> Any:
    """Return the value in its type. An empty cell is null, except for the type text. Raises `UnfitCell`."""
    if kind == "text":
        return text(value)
    if value is None or value == "":
        return None
    match kind:
        case "int":
            return whole_number(value)
        case "number":
            return number(value)
        case "bool":
            return boolean(value)
        case _:
            return iso_time(value)


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise UnfitCell


def whole_number(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and len(value) <= MAX_DIGITS and INT.fullmatch(value):
        return int(value)
    raise UnfitCell


def number(value: Any) -> Any:
    """Return the number with every digit: `int`, `float`, or `Decimal` where a double does not hold it. Raises `UnfitCell`."""
    if isinstance(value, str) and len(value) <= MAX_DIGITS and NUMBER.fullmatch(value):
        return loads(value.encode())
    if isinstance(value, (bool, str, list, dict)):
        raise UnfitCell
    return value


def boolean(value: Any) -> bool:
    found = BOOLS.get(str(value).lower())
    if found is None:
        raise UnfitCell
    return found


def iso_time(value: Any) -> str | None:
    """Return the time in UTC with its zone; null for a date that Halo writes for *unset*."""
    found = moment(value)
    if found is None:
        raise UnfitCell
    return None if found.year < FIRST_REAL_YEAR else found.isoformat().replace("+00:00", "Z")


def moment(value: Any) -> datetime | None:
    """Return the time of a cell in UTC, None for anything but an ISO date. Halo's database omits the zone: UTC."""
    if not isinstance(value, str) or not DATE.match(value):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # a zone may lead out of the years that a date can have
        return None
