"""Builds the record that a write stores: defaults of a new one, the merge of a change, and names that follow ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.sandbox.custom_fields import CARRIERS, merge_asset, merge_custom
from worker.sandbox.profiles import STAMP, Profile, profile_of
from worker.sandbox.reference_data import OUTCOMES, STATUSES
from worker.sandbox.seeded_tenant import CLOSED
from worker.sandbox.table import Row

TICKET_ENTITIES = frozenset({"tickets", "opportunities", "projects"})
MERGED_SEPARATELY = frozenset({"id", "customfields", STAMP})
TAGS = re.compile(r"<[^>]*>")
NAME_MEMBERS = (
    ("client_id", "client", "client_name"),
    ("site_id", "site", "site_name"),
    ("user_id", "users", "user_name"),
    ("team_id", "team", "team"),
    ("assettype_id", "assettype", "assettype_name"),
    ("supplier_id", "supplier", "supplier_name"),
)

FindRecord = Callable[[str, int], Row | None]
"""Finds a record of another entity by its number."""


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """The values sent to an entity, and the time of the write."""

    entity: str
    sent: Mapping[str, Any]
    moment: datetime
    find: FindRecord

    @property
    def profile(self) -> Profile:
        return profile_of(self.entity)

    def created(self) -> Row:
        """A new record, without its id."""
        return self.changed({**self.profile.defaults, **dict.fromkeys(self.profile.created, self.moment)})

    def changed(self, row: Row) -> Row:
        """The record with the sent members replaced; other members stay."""
        plain = {
            member: value
            for member, value in self.sent.items()
            if member not in MERGED_SEPARATELY and member not in self.profile.dropped and not member.startswith("_")
        }
        merged = {**row, **plain}
        if "customfields" in self.sent and self.entity in CARRIERS:
            merged["customfields"] = merge_custom(row.get("customfields"), self.sent["customfields"])
        if "fields" in self.sent and self.entity == "asset":
            merged["fields"] = merge_asset(row.get("fields"), self.sent["fields"])
        _fill_names(self.entity, merged, plain, self.find)
        if self.entity in TICKET_ENTITIES:
            _complete_ticket(merged, plain, self.moment)
        elif self.entity == "actions":
            _complete_action(merged, plain)
        elif self.entity == "users" and "name" not in merged:
            merged["name"] = f"{merged.get('firstname', '')} {merged.get('surname', '')}".strip()
        merged.update(dict.fromkeys(self.profile.edited, self.moment))
        merged[STAMP] = self.moment
        return merged


def _fill_names(entity: str, merged: Row, sent: Mapping[str, Any], find: FindRecord) -> None:
    if "site_id" in sent and "client_id" not in sent and entity != "site":
        site = find("site", int(sent["site_id"] or 0))
        if site is not None:
            merged["client_id"], merged["client_name"] = site["client_id"], site.get("client_name")
    for member, other, label in NAME_MEMBERS:
        if member in sent and member != f"{entity}_id" and label not in sent:
            found = find(other, int(sent[member] or 0))
            if found is not None:
                merged[label] = found.get("name")


def _complete_ticket(merged: Row, sent: Mapping[str, Any], moment: datetime) -> None:
    merged["lastactiondate"] = moment
    if sent.get("details_html") and "details" not in sent:
        merged["details"] = TAGS.sub("", sent["details_html"])
    if "status_id" in sent:
        closed = sent["status_id"] == CLOSED
        merged["hasbeenclosed"] = True if closed else None
        merged["dateclosed"] = (merged.get("dateclosed") or moment) if closed else None


def _complete_action(merged: Row, sent: Mapping[str, Any]) -> None:
    if "note_html" in sent and "note" not in sent:
        merged["note"] = TAGS.sub("", sent["note_html"] or "")
    if "outcome_id" in sent and "outcome" not in sent:
        merged["outcome"] = OUTCOMES.get(sent["outcome_id"], "Internal Note")
    if sent.get("new_status"):
        merged["new_status_name"] = STATUSES.get(sent["new_status"], "")
