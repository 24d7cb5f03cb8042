"""Finds the record that a path names, or makes Halo's answer when there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from worker.sandbox.paths import PathMatch
from worker.sandbox.profiles import profile_of
from worker.sandbox.responses import json_answer
from worker.sandbox.store import Store
from worker.sandbox.table import Key, Row
from worker.sandbox.write_operations import NoSuchKey, parse_key


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record, its key, and its scope if its ids count within one."""

    key: Key
    scope: int | None
    row: Row


class RecordMissing(Exception):
    """The path names no record: an empty 404, or 400 for a malformed id."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


def find_record(store: Store, match: PathMatch, query: Mapping[str, str]) -> FoundRecord:
    """Raises `RecordMissing`."""
    try:
        key = parse_key(store, match)
    except NoSuchKey:
        raise RecordMissing(web.Response(status=404)) from None
    if key is None:
        name, value = next(iter(match.values.items()), ("id", ""))
        raise RecordMissing(json_answer({name: [f"The value '{value}' is not valid."]}, 400))
    scope = _scope(store, match, query, key)
    row = None if key in store.hidden.get(match.table, ()) else store.get(match.table, key, scope)
    if row is None:
        raise RecordMissing(web.Response(status=404))
    return FoundRecord(key, scope, row)


def _scope(store: Store, match: PathMatch, query: Mapping[str, str], key: Key) -> int | None:
    """Return the scope from the query; if the query may omit it, the first scope that has the key."""
    profile = profile_of(match.table)
    if profile.scope is None:
        return None
    value = query.get(profile.scope, "")
    if value.lstrip("-").isdigit():
        return int(value)
    return None if profile.scope in profile.needs else store.scope_of(match.table, key)
