"""The small tables of the seeded tenant: statuses, types, priorities, teams, agents, suppliers, items, articles, lookup values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from worker.sandbox.custom_fields import FIELD_DEFINITIONS
from worker.sandbox.dates import stored
from worker.sandbox.lists_without_ids import rows_without_ids, workflows
from worker.sandbox.profiles import MANUAL, STAMP
from worker.sandbox.seeded_random import seeded_guid
from worker.sandbox.seeded_tenant import FIRST_NAMES, LAST_NAMES, TEAMS, Tenant
from worker.sandbox.table import Row

STATUSES = {1: "New", 2: "In Progress", 3: "With User", 4: "With Supplier", 5: "Awaiting Approval", 8: "Resolved", 9: "Closed"}
TICKET_TYPES = ("Incident", "Service Request", "Change Request", "Problem")
SLAS = {1: "Standard", 2: "Premium"}
PRIORITIES = {1: ("Critical", "High", "Medium", "Low"), 2: ("Critical", "High", "Medium", "Low", "Planned")}
OUTCOMES = {1: "Email User", 2: "Re-Assign", 3: "Close Ticket", 7: "Internal Note", 8: "Respond", 24: "Log Time"}
EVENT_NAMES = {
    3: "New Ticket Logged - All",
    19: "Ticket Updated by User - All",
    39: "Ticket Closed - All",
    42: "1st SLA Warning - All",
    46: "2nd SLA Warning - All",
    61: "Ticket Updated - All",
    70: "Ticket Deadline - All",
    76: "Ticket Status Changed - All",
    1072: "Ticket Deleted - All",
}
LOOKUPS = {
    17: {1: "Standard", 2: "Out of hours", 3: "No charge"},
    22: {MANUAL: "Manual", 2: "Email", 3: "Portal"},
    64: EVENT_NAMES,
}
"""Lists of values by their number: charge rates, sources of tickets, events. Their ids overlap."""
COLOURS = ("#e63946", "#f4a261", "#2a9d8f", "#3a86ff", "#8d99ae")
API_AGENT = 2
"""The agent for whom applications act."""


def reference_rows(tenant: Tenant) -> dict[str, list[Row]]:
    """Rows by entity, in creation order."""
    long_ago = stored(tenant.until - timedelta(days=tenant.days))
    tables = {
        "status": [{"id": number, "name": name, "shortname": name, "type": 0, "sequence": number} for number, name in STATUSES.items()],
        "tickettype": [
            {"id": number, "name": name, "use": "tickettype", "visible": True, "itilrequesttype": number, "sequence": number, "workflow_id": (number + 1) // 2}
            for number, name in enumerate(TICKET_TYPES, 1)
        ],
        "sla": [{"id": number, "name": name, "priorities": list(_priorities(tenant, number))} for number, name in SLAS.items()],
        "priority": [row for number in SLAS for row in _priorities(tenant, number)],
        "workflow": workflows(),
        "team": [{**_team(number, name), "ticket_count": tenant.size.tickets // len(TEAMS)} for number, name in enumerate(TEAMS, 1)],
        "agent": list(_agents(tenant)),
        "supplier": [{"id": number, "name": f"{LAST_NAMES[number % 16]} Supplies", "inactive": number == 12, "use": "supplier"} for number in range(1, 21)],  # noqa: PLR2004  one is inactive
        "item": [
            {"id": number, "name": f"Item {number}", "baseprice": number * 2.5, "assetgroup_id": 1, "supplier_id": number % 20 + 1} for number in range(1, 61)
        ],
        "kbarticle": list(_articles(tenant)),
        "outcome": [
            {"id": number, "outcome": name, "buttonname": name, "labellong": name, "icon": "", "sequence": number, "hidden": False}
            for number, name in OUTCOMES.items()
        ],
        "assettype": [{"id": number, "name": name, "assetgroup_id": 1} for number, name in enumerate(("Workstation", "Server", "Printer", "Switch"), 1)],
        "assetgroup": [{"id": 1, "name": "Hardware"}],
        "category": [{"id": number, "value": name, "type_id": 1} for number, name in enumerate(("Hardware", "Software", "Network"), 1)],
        "fieldinfo": [dict(definition) for definition in FIELD_DEFINITIONS],
        "toplevel": [{"id": 1, "name": "Customers"}],
        "customtable": [
            {"id": 12, "name": "Licences", "db_name": "CTLicences", "table_type": 0, "columns": 1},
        ],
        "lookup": [{"id": number, "lookupid": lookup, "name": name} for lookup, values in LOOKUPS.items() for number, name in values.items()],
        **rows_without_ids(tenant),
    }
    return {entity: [{**row, STAMP: long_ago} for row in rows] for entity, rows in tables.items()}


def _team(number: int, name: str) -> Row:
    return {"id": number, "name": name, "inactive": False, "forrequests": True, "department_id": 1, "use": "team"}


def _priorities(tenant: Tenant, sla: int) -> Iterator[Row]:
    """One row per priority of an SLA. Its id is a GUID; tickets refer to `priorityid`, which repeats."""
    for number, name in enumerate(PRIORITIES[sla], 1):
        yield {
            "id": seeded_guid(tenant.seed, sla * 10 + number, 50),
            "priorityid": number,
            "slaid": sla,
            "name": name,
            "colour": COLOURS[number - 1],
            "ishidden": False,
            "fixtime": number * 4 / sla,
            "fixunits": "H",
        }


def _agents(tenant: Tenant) -> Iterator[Row]:
    yield {"id": 1, "name": "Unassigned", "isdisabled": False, "is_agent": False, "team": TEAMS[0], "use": "agent"}
    for number in range(2, 11):
        first, last = FIRST_NAMES[(number * 5) % 16], LAST_NAMES[(number * 3) % 16]
        yield {
            "id": number,
            "name": f"{first} {last}",
            "firstname": first,
            "surname": last,
            "initials": first[0] + last[0],
            "email": f"agent{number}@example.com",
            "colour": COLOURS[number % len(COLOURS)],
            "isdisabled": number == 10,  # noqa: PLR2004  the last one has left
            "is_agent": True,
            "team": TEAMS[tenant.chance(number, 60, len(TEAMS))],
            "use": "agent",
        }


def _articles(tenant: Tenant) -> Iterator[Row]:
    created, changed = tenant.moments(40)
    for number in range(1, 41):
        yield {
            "id": number,
            "name": f"How to solve problem {number}",
            "description": "What it looks like",
            "resolution": "What to do",
            "date_created": created(number),
            "date_edited": changed(number),
            "inactive": False,
            "view_count": tenant.chance(number, 61, 500),
            "use": "kb",
        }


def ticket_actions(tenant: Tenant, ticket: int, occurred: Any) -> list[Row]:
    """The seeded actions of a ticket, numbered from 1."""
    rows = []
    for number in range(1, tenant.chance(ticket, 70, 4) + 1):
        moment = stored(occurred + timedelta(minutes=30 * number))
        rows.append(
            {
                "ticket_id": ticket,
                "id": number,
                "outcome": OUTCOMES[7],
                "outcome_id": 7,
                "who": "Agent",
                "who_type": 1,
                "who_agentid": 3,
                "actionby_agent_id": 3,
                "datetime": moment,
                "actiondatecreated": moment,
                "note": f"Step {number}",
                "note_html": f"<p>Step {number}</p>",
                "hiddenfromuser": True,
                "important": False,
                "timetaken": 0.25,
                "attachment_count": 0,
                "colour": "#000000",
                STAMP: moment,
            }
        )
    return rows
