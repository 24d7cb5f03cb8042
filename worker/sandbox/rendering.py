"""Records as Halo shows them: fewer members in lists, all by id, and other date formats in the answer to a POST."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from worker.sandbox.dates import UNSET, naive, precise, stored, zoned
from worker.sandbox.profiles import STAMP, Profile
from worker.sandbox.table import Row


def list_row(row: Row, profile: Profile, asked: Collection[str] = (), custom_fields: Collection[int] = ()) -> Row:
    """A row of a list. `asked`: the nested and optional members to show. `custom_fields`: the ids of those to show."""
    shown: Row = {}
    hidden = (profile.detail_only | profile.withheld).union(*profile.shown_with.values()).difference(asked)
    for member, value in row.items():
        if value is None or member in hidden:
            continue
        kind = type(value)
        if kind is datetime:
            shown[member] = naive(value)
        elif (kind is not list and kind is not dict) or member in asked:
            shown[member] = value
    if "customfields" in shown:
        shown["customfields"] = [field for field in shown["customfields"] if field["id"] in custom_fields]
    _apply_list_style(row, shown, profile)
    return shown


def _apply_list_style(row: Row, shown: Row, profile: Profile) -> None:
    """Applies the names and types that members have in lists only."""
    stamp = shown.pop(STAMP, None)
    if stamp is not None and profile.list_stamp:
        shown[profile.list_stamp] = stamp
    shown.update(profile.fixed)
    for member, name in profile.renamed.items():
        if member in shown:
            shown[name] = shown.pop(member)
    for member in profile.floats:
        if row.get(member) is not None:
            shown[member] = float(row[member])


def detail_row(row: Row, profile: Profile, *, nested: bool) -> Row:
    """One record by its id, with or without nested members."""
    return _render(row, profile, naive, nested=nested)


def answer_row(row: Row, profile: Profile, moment: datetime) -> Row:
    """The answer to a POST that was executed at `moment`."""
    kept = stored(moment)

    def formatted(value: datetime) -> str:
        if value == UNSET:
            return naive(value)
        return precise(moment) if value == kept else zoned(value)

    return _render(row, profile, formatted, nested=True)


def _render(row: Row, profile: Profile, formatted: Callable[[datetime], str], *, nested: bool) -> Row:
    shown: Row = {}
    for member, value in row.items():
        if value is None or member in profile.withheld or (not nested and isinstance(value, (list, dict))):
            continue
        if isinstance(value, datetime):
            name = profile.stamp if member == STAMP else member
            if name:
                shown[name] = formatted(value)
        else:
            shown[member] = float(value) if member in profile.floats and not isinstance(value, str) else _plain(value, formatted)
    return shown


def _plain(value: Any, formatted: Callable[[datetime], str]) -> Any:
    """A value with the times in nested members formatted."""
    match value:
        case datetime():
            return formatted(value)
        case list():
            return [_plain(item, formatted) for item in value]
        case dict():
            return {name: _plain(item, formatted) for name, item in value.items() if item is not None}
        case _:
            return value
