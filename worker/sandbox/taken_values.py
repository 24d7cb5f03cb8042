"""The values that Halo stores of a client's valid record: it ignores some values, and adds or computes others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.sandbox.attachments import stored_attachment
from worker.sandbox.custom_fields import emptied
from worker.sandbox.record_merge import TICKET_ENTITIES
from worker.sandbox.reference_data import API_AGENT
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Row


def taken_values(store: Store, settings: SandboxSettings, entity: str, sent: Mapping[str, Any], present: Row | None) -> Mapping[str, Any]:
    """Return the values to store. `present`: the record that they change; None for a new record."""
    if entity == "attachment":
        return stored_attachment(sent)
    if entity == "actions" and present is None:
        return {"actionby_application_id": settings.application, "actionby_agent_id": API_AGENT, **sent}
    if entity == "asset" and settings.asset_fields_replaced and present is not None and sent.get("fields") is not None:
        return {**sent, "fields": [*emptied(present.get("fields")), *sent["fields"]]}
    if entity in TICKET_ENTITIES and sent.get("priority_id") and not _in_sla(store, sent, present):
        return {member: value for member, value in sent.items() if member != "priority_id"}
    return sent


def _in_sla(store: Store, sent: Mapping[str, Any], present: Row | None) -> bool:
    """Whether the priority belongs to the SLA of the ticket. A priority of another SLA is ignored in silence."""
    sla = sent.get("sla_id") or (present or {}).get("sla_id", 1)
    return any((row.get("slaid"), row.get("priorityid")) == (sla, sent["priority_id"]) for row in store.rows("priority"))
