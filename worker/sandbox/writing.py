"""Carrying out POST and DELETE on the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from worker.sandbox.paths import Match
from worker.sandbox.profiles import STAMP, profile_of
from worker.sandbox.rules import NOT_FOUND, refusal
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Key, Row


@dataclass
class Written:
    """What a POST did: the records as stored, ids by kind, and the sentence that ended it early, if any."""

    rows: list[Row] = field(default_factory=list)
    created: list[Key] = field(default_factory=list)
    updated: list[Key] = field(default_factory=list)
    refused: str | None = None


def write(store: Store, settings: SandboxSettings, entity: str, records: Sequence[Mapping[str, Any]]) -> Written:
    """One record after the other: without an id it is created, with one it is changed. Ends at the first that is refused."""
    done = Written()
    if not settings.keeps_earlier:
        for record in records:
            problem = _problem(store, settings, entity, record)
            if problem is not None:
                return Written(refused=problem)
    for record in records:
        problem = _problem(store, settings, entity, record)
        if problem is not None:
            done.refused = problem
            return done
        _write_one(store, entity, record, done)
    return done


def parse_key(match: Match) -> Key | None:
    """The id in the path, or None when it cannot be one."""
    text = match.values.get("id", "")
    if match.id_type == "string":
        return text.lower()
    if match.id_type == "uuid":
        try:
            return str(UUID(text))
        except ValueError:
            return None
    return int(text) if text.lstrip("-").isdigit() and len(text) < 11 else None  # noqa: PLR2004  the digits of an int32


def _problem(store: Store, settings: SandboxSettings, entity: str, record: Mapping[str, Any]) -> str | None:
    present, recovers = _present(store, entity, record), bool(record.get("_recover"))
    if record.get("id") and present is None:
        deleted = store.deleted.get(entity)
        return None if recovers and deleted is not None and deleted.get(record["id"]) is not None else NOT_FOUND
    return refusal(store, settings, entity, record, present)


def _present(store: Store, entity: str, record: Mapping[str, Any]) -> Row | None:
    key = record.get("id")
    if not key or key in store.hidden.get(entity, ()):
        return None
    return store.get(entity, key, _scope(entity, record))


def _scope(entity: str, record: Mapping[str, Any]) -> int | None:
    scope = profile_of(entity).scope
    return None if scope is None else int(record.get(scope) or 0)


def _write_one(store: Store, entity: str, record: Mapping[str, Any], done: Written) -> None:
    key = record.get("id")
    sent = {member: value for member, value in record.items() if member != STAMP}
    if not key:
        row = store.create(entity, sent)
        done.created.append(row["id"])
    else:
        if record.get("_recover"):
            store.recover(entity, key)
        row = store.update(entity, key, sent, scope=_scope(entity, record))
        done.updated.append(row["id"])
    done.rows.append(row)
