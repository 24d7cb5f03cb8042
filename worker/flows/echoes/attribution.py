"""Decides which changes of a record a write explains: the members that it sent, and those that Halo sets with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from worker.changes.records import UPDATE_STAMPS, VOLATILE, parse_stamp, without_control
from worker.core.exact_numbers import digest_text

DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
OF_NOW = re.compile(r"T\d\d:\d\d:\d\d\.\d{4,}")  # decimals that the database does not keep: Halo took this moment while it answered
SUFFIX = re.compile(r"(_?id|_name|_html|_desc|_text|_display)$")
FOLLOWS: Mapping[str, tuple[str, ...]] = {  # by the stem of a sent member: the beginnings of the members that Halo sets with it
    "status": ("hasbeenclosed", "dateclosed", "datecleared", "onhold", "sla", "fix", "respon", "deadline", "target"),
    "priority": ("sla", "fix", "respon", "deadline", "target"),
    "sla": ("priority", "fix", "respon", "deadline", "target"),
    "tickettype": ("sla", "priority", "workflow"),
    "site": ("client",),
    "user": ("site", "client"),
    "agent": ("team", "section"),
    "assettype": ("assetgroup",),
    "fields": ("key_field", "inventory_number"),
}


def unexplained(sent: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """Names of the members that differ between `before` and `after` though a write of `sent` does not explain it: another writer may have changed them."""
    was, now = content_members(before), content_members(after)
    return frozenset(name for name in was.keys() | now.keys() if not _is_explained(name, was.get(name), now.get(name), sent))


def content_members(row: Mapping[str, Any]) -> dict[str, Any]:
    """The members that count as content, without those that say when the record was updated."""
    return {name: value for name, value in row.items() if name not in VOLATILE and name not in UPDATE_STAMPS and not name.startswith("_")}


def canonical(value: Any) -> bytes:
    """Return the value as text, alike in details and in answers to a POST; empty where nothing is set."""
    if value is None or value in ("", [], {}):
        return b""
    if isinstance(value, str):
        moment = parse_stamp(value) or "" if DATED.match(value) else value
        return str(moment).encode(errors="surrogatepass")
    return digest_text(_plain(without_control(value)))


def _plain(value: Any) -> Any:
    """Whole numbers without decimals and dates in one form, at any depth; nothing where nothing is set."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(member) for name, member in value.items() if canonical(member)}
        case list():
            return [_plain(item) for item in value]
        case str() if DATED.match(value):
            return str(parse_stamp(value))
        case _:
            return value


def _is_explained(name: str, before: Any, after: Any, sent: Mapping[str, Any]) -> bool:
    if canonical(before) == canonical(after) or (isinstance(after, str) and OF_NOW.search(after) is not None and parse_stamp(after) is not None):
        return True
    if name in sent:
        return _elements_are_explained(before, after, sent[name])
    stems = {SUFFIX.sub("", other) for other in sent if other != "id" and not other.startswith("_")}
    return SUFFIX.sub("", name) in stems or any(name.startswith(FOLLOWS[stem]) for stem in stems & FOLLOWS.keys())


def _elements_are_explained(before: Any, after: Any, sent: Any) -> bool:
    """In a list of objects with distinct ids or names, only the sent objects may have changed. New objects come from sent objects without an id."""
    old, new = _by_identity(before or []), _by_identity(after or [])
    if old is None or new is None or not _are_objects(sent):
        return True
    named = {text for element in sent for member in ("id", "name") if (text := canonical(element.get(member)))}
    adds = any(element.get("id") in (None, 0) for element in sent)
    changed = [key for key in old.keys() | new.keys() if canonical(old.get(key)) != canonical(new.get(key))]
    return all((adds and key not in old) or not named.isdisjoint(_names_of(old.get(key) or new[key])) for key in changed)


def _by_identity(value: Any) -> dict[bytes, dict[str, Any]] | None:
    if not _are_objects(value):
        return None
    found = {canonical(item.get("id", item.get("name"))): item for item in value}
    return found if len(found) == len(value) else None


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _names_of(element: Mapping[str, Any]) -> set[bytes]:
    return {canonical(element.get("id")), canonical(element.get("name"))}
