"""Records as Halo shows them: thin in lists, whole by id, with other dates in the answer to a POST."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from worker.sandbox.dates import UNSET, naive, precise, stored, zoned
from worker.sandbox.profiles import STAMP, Profile
from worker.sandbox.table import Row


def list_row(row: Row, profile: Profile, nested: Collection[str] = (), custom_fields: Collection[int] = ()) -> Row:
    """A row of a list: of nested members only those named, of custom fields only those asked for."""
    shown: Row = {}
    hidden = profile.detail_only | profile.withheld
    for member, value in row.items():
        if value is None or member in hidden:
            continue
        kind = type(value)
        if kind is datetime:
            shown[member] = naive(value)
        elif (kind is not list and kind is not dict) or member in nested:
            shown[member] = value
    if "customfields" in shown:
        shown["customfields"] = [field for field in shown["customfields"] if field["id"] in custom_fields]
    _restyle(row, shown, profile)
    return shown


def _restyle(row: Row, shown: Row, profile: Profile) -> None:
    """The names and types that members have in lists only."""
    stamp = shown.pop(STAMP, None)
    if stamp is not None and profile.list_stamp:
        shown[profile.list_stamp] = stamp
    for member, name in profile.renamed.items():
        if member in shown:
            shown[name] = shown.pop(member)
    for member in profile.floats:
        if row.get(member) is not None:
            shown[member] = float(row[member])


def detail_row(row: Row, profile: Profile, *, nested: bool) -> Row:
    """One record by its id; nested members only when details were asked for."""
    return _whole(row, profile, naive, nested=nested)


def answer_row(row: Row, profile: Profile, moment: datetime) -> Row:
    """The answer to a POST that was carried out at `moment`."""
    kept = stored(moment)

    def written(value: datetime) -> str:
        if value == UNSET:
            return naive(value)
        return precise(moment) if value == kept else zoned(value)

    return _whole(row, profile, written, nested=True)


def _whole(row: Row, profile: Profile, written: Callable[[datetime], str], *, nested: bool) -> Row:
    shown: Row = {}
    for member, value in row.items():
        if value is None or member in profile.withheld or (not nested and isinstance(value, (list, dict))):
            continue
        if isinstance(value, datetime):
            name = profile.stamp if member == STAMP else member
            if name:
                shown[name] = written(value)
        else:
            shown[member] = float(value) if member in profile.floats and not isinstance(value, str) else _plain(value, written)
    return shown


def _plain(value: Any, written: Callable[[datetime], str]) -> Any:
    """Moments inside nested members."""
    match value:
        case datetime():
            return written(value)
        case list():
            return [_plain(item, written) for item in value]
        case dict():
            return {name: _plain(item, written) for name, item in value.items() if item is not None}
        case _:
            return value
