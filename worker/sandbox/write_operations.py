"""Executes the records of a POST on the store, and reads the id in a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.sandbox.paths import PathMatch
from worker.sandbox.profiles import STAMP, profile_of
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Key, Row
from worker.sandbox.taken_values import taken_values
from worker.sandbox.validation import RECORD_NOT_FOUND, validation_error


@dataclass
class WriteResult:
    """The result of a POST: the records as stored, the ids of created and updated ones, and the error that ended it early."""

    rows: list[Row] = field(default_factory=list)
    created: list[Key] = field(default_factory=list)
    updated: list[Key] = field(default_factory=list)
    refused: str | None = None


def write_records(store: Store, settings: SandboxSettings, entity: str, records: Sequence[Mapping[str, Any]], moment: datetime) -> WriteResult:
    """Creates the records without an id and changes the others, in order. Ends at the first invalid record."""
    done = WriteResult()
    if not settings.keeps_earlier:
        for record in records:
            problem = _problem(store, settings, entity, record)
            if problem is not None:
                return WriteResult(refused=problem)
    for record in records:
        problem = _problem(store, settings, entity, record)
        if problem is not None:
            done.refused = problem
            return done
        taken = taken_values(store, settings, entity, record, _present(store, entity, record))
        _write_one(store, entity, taken, moment, done)
    return done


class NoSuchKey(Exception):
    """No record can have the id in the path: 404."""


def parse_key(store: Store, match: PathMatch) -> Key | None:
    """The id in the path; None if it is malformed, which is a 400. Raises `NoSuchKey`."""
    text = match.values.get("id", "")
    if match.id_type == "uuid":
        try:
            return str(UUID(text))
        except ValueError:
            return None
    if match.table in store.text_ids:
        return text.lower()
    if text.lstrip("-").isdigit() and len(text) < 11:  # noqa: PLR2004  the digits of an int32
        return int(text)
    if match.id_type == "string":
        raise NoSuchKey
    return None


def _problem(store: Store, settings: SandboxSettings, entity: str, record: Mapping[str, Any]) -> str | None:
    key, present = _key(store, entity, record), _present(store, entity, record)
    if key and present is None:
        deleted = store.deleted.get(entity)
        return None if record.get("_recover") and deleted is not None and deleted.get(key) is not None else RECORD_NOT_FOUND
    return validation_error(store, settings, entity, record, present)


def _key(store: Store, entity: str, record: Mapping[str, Any]) -> Key | None:
    """The id of the record to change. Some bodies publish an id as text although the path takes a number."""
    key: Key | None = record.get("id") or None
    return int(key) if isinstance(key, str) and key.isdigit() and entity not in store.text_ids else key


def _present(store: Store, entity: str, record: Mapping[str, Any]) -> Row | None:
    key = _key(store, entity, record)
    if not key or key in store.hidden.get(entity, ()):
        return None
    return store.get(entity, key, profile_of(entity).scope_of(record))


def _write_one(store: Store, entity: str, record: Mapping[str, Any], moment: datetime, done: WriteResult) -> None:
    key = _key(store, entity, record)
    sent = {member: value for member, value in record.items() if member != STAMP}
    if not key:
        row = store.create(entity, sent, moment)
        done.created.append(row["id"])
    else:
        if record.get("_recover"):
            store.recover(entity, key)
        row = store.update(entity, key, sent, moment, profile_of(entity).scope_of(record))
        done.updated.append(row["id"])
    done.rows.append(row)
