"""Decides which changed members of a record a write explains: the members it sent and those that Halo sets with them. Other changes may be another writer's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from worker.changes.fingerprints import canonical, is_of_now, moment_of, same_moment

SUFFIX = re.compile(r"(_?id|_name|_html|_desc|_text|_display)$")
FOLLOWS: Mapping[str, tuple[str, ...]] = {  # prefix of a sent member: prefixes of the members that Halo sets with it
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


def changed_members(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names whose values differ. A date may have more decimals on one side."""
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if canonical(old) != canonical(new) and not (is_of_now(new) and same_moment(moment_of(old), moment_of(new))):
            yield name


def is_ours(name: str, before: Any, after: Any, sent: Mapping[str, Any]) -> bool:
    """Return whether a write of `sent` explains the change of this member."""
    if is_of_now(after):
        return True
    if name in sent:
        return _elements_are_ours(before, after, sent[name])
    stems = {SUFFIX.sub("", other) for other in sent if other != "id" and not other.startswith("_")}
    return SUFFIX.sub("", name) in stems or any(name.startswith(FOLLOWS[stem]) for stem in stems & FOLLOWS.keys())


def _elements_are_ours(before: Any, after: Any, sent: Any) -> bool:
    """In a list of identifiable objects only the sent ones may have changed; new ones come from sent ones without an id."""
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
