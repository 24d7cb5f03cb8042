"""Seeded rows of the lists in which `id` does not identify a row: another member does, or two together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from worker.sandbox.dates import stored
from worker.sandbox.seeded_tenant import Tenant
from worker.sandbox.table import Row

AGENTS = range(2, 10)
WORKFLOWS = {1: ("Incident", 4), 2: ("Change", 6)}
ASSET_TYPES = range(1, 5)
ASSET_FIELD_IDS = (101, 24, 30, 31)
DAYS = 5


def rows_without_ids(tenant: Tenant) -> dict[str, list[Row]]:
    """Rows by entity. Their `id` is their number in the table; lists show another one in its place, or none."""
    tables = {
        "timesheet": _timesheets(tenant),
        "timesheet/forecasting": ({"agent_id": agent, "forecasting_hours": 37.5} for agent in AGENTS),
        "assettypeinfo": ({"typeinfo_id": kind, "field_id": field, "sequence": field} for kind in ASSET_TYPES for field in ASSET_FIELD_IDS),
        "workflowstep": ({"fdid": flow, "step_id": step, "name": f"Step {step}"} for flow, (_, steps) in WORKFLOWS.items() for step in range(1, steps + 1)),
        "onlinestatus": ({"techID": agent, "isOnline": agent % 2 == 0, "agent_status": 0} for agent in AGENTS),
    }
    return {entity: [{"id": number, **row} for number, row in enumerate(rows, 1)] for entity, rows in tables.items()}


def workflows() -> list[dict[str, Any]]:
    return [{"id": number, "name": name, "active": True} for number, (name, _) in WORKFLOWS.items()]


def _timesheets(tenant: Tenant) -> Iterator[Row]:
    """One row per agent and day."""
    today = stored(tenant.until.replace(hour=0, minute=0, second=0, microsecond=0))
    for agent in AGENTS:
        for day in range(DAYS):
            yield {"agent_id": agent, "date": today - timedelta(days=day), "actual_hours": 7.5, "target_hours": 7.5, "break_hours": 0.5}
