"""Halo's business rules: the error for the first rule that a record breaks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from worker.sandbox.profiles import profile_of
from worker.sandbox.query import Equals, Query, select
from worker.sandbox.seeded_tenant import GENERAL_USER
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Row

RECORD_NOT_FOUND = "Record not found"
URL = re.compile(r"https?://[^\s/]+.*", re.IGNORECASE)
TABLE_NAME = re.compile(r"[A-Za-z0-9 _-]+")
RUNBOOK = 1


def validation_error(store: Store, settings: SandboxSettings, entity: str, sent: Mapping[str, Any], present: Row | None) -> str | None:
    """Return the error, or None for a valid record. `present`: the record that it changes; None for a new record."""
    if sent.get("_novalidate"):
        return None
    problem = _of_entity(store, entity, sent, present)
    if problem is None and settings.unique_names and profile_of(entity).unique and _taken(store, entity, sent, present):
        problem = "Name must be unique"
    if (
        problem is None
        and present is not None
        and entity == "tickets"
        and settings.ticket_update_needs_type
        and not {"tickettype_id", "client_id"} <= set(sent)
    ):
        problem = RECORD_NOT_FOUND
    return problem


def _of_entity(store: Store, entity: str, sent: Mapping[str, Any], present: Row | None) -> str | None:
    match entity, present:
        case "actions", None:
            return _action(store, sent)
        case "users", None:
            named = sent.get("name") or sent.get("firstname") or sent.get("surname")
            return _site_missing(sent) if named else "Username must be entered"
        case "agent", None:
            return None if sent.get("name") else "Name must be entered"
        case "tickets", None if sent.get("user_id") or sent.get("user_name"):
            return _site_missing(sent)
        case "webhook", _:
            return _webhook(sent, present)
        case "customtable", _:
            return "Invalid Name" if "db_name" in sent or not TABLE_NAME.fullmatch(str(sent.get("name") or "name")) else None
        case _:
            return None


def deletion_error(entity: str, row: Row) -> str | None:
    """Return the error of a delete, or None if the record may be deleted."""
    return "General Users cannot be deleted" if entity == "users" and row.get("name") == GENERAL_USER else None


def _site_missing(sent: Mapping[str, Any]) -> str | None:
    return None if sent.get("site_id") else "A Site must be selected"


def _action(store: Store, sent: Mapping[str, Any]) -> str | None:
    if not sent.get("ticket_id"):
        return "Parameter ticket_id must be included"
    if store.get("tickets", sent["ticket_id"]) is None:
        return RECORD_NOT_FOUND
    return None if sent.get("outcome") or sent.get("outcome_id") else "An Outcome must be entered for this Action"


def _webhook(sent: Mapping[str, Any], present: Row | None) -> str | None:
    kind = sent.get("type", (present or {}).get("type", 0))
    url = sent.get("url", (present or {}).get("url"))
    return None if kind == RUNBOOK or (url and URL.fullmatch(str(url))) else "Please enter a valid URL"


def _taken(store: Store, entity: str, sent: Mapping[str, Any], present: Row | None) -> bool:
    name = sent.get("name")
    if not name:
        return False
    found = select(store.table(entity), Query(equals=(Equals("name", frozenset({str(name).lower()})),)))
    return any(row["id"] != (present or {}).get("id") for row in found.rows(0, 2))
