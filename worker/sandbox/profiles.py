"""The differences between entities; everything else follows the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.sandbox.dates import UNSET

ADDRESS_LINES = tuple(f"delivery_address_line{number}" for number in range(1, 6))
MANUAL = 1  # the source of a ticket that names none
STAMP = "last_update"
"""The member with the time of a record's last change. Entities show it under different names, or not at all."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The defaults suit an entity with no known peculiarity."""

    stamp: str | None = None  # name of its change stamp in details and in answers to a POST; None: not shown
    list_stamp: str | None = None  # the same in lists
    created: tuple[str, ...] = ()  # members that hold the time of creation
    edited: tuple[str, ...] = ()  # members that hold the time of the last change
    scope: str | None = None  # ids count from 1 within each value of this member
    needs: tuple[str, ...] = ()  # a list without any of these parameters is empty
    newest_first: bool = False
    floats: tuple[str, ...] = ()  # ids that lists show as 3.0
    renamed: Mapping[str, str] = field(default_factory=dict)  # name in details → name in lists
    detail_only: frozenset[str] = frozenset()  # members that lists leave out
    shown_with: Mapping[str, frozenset[str]] = field(default_factory=dict)  # parameter → members that lists show only if it is true
    fixed: Mapping[str, object] = field(default_factory=dict)  # members with one value in every row of a list
    search: tuple[str, ...] = ("name",)
    filters: Mapping[str, str] = field(default_factory=dict)  # parameter → member, if the names differ
    unique: bool = False  # names may not repeat
    soft_delete: bool = False
    ignores_pages: bool = False
    dropped: frozenset[str] = frozenset()  # members that a write silently ignores
    unpublished: Mapping[str, str] = field(default_factory=dict)  # members that the catalogue does not publish
    withheld: frozenset[str] = frozenset()  # members that can be written and are never shown
    defaults: Mapping[str, object] = field(default_factory=dict)  # of a new record

    def scope_of(self, record: Mapping[str, Any]) -> int | None:
        """The value of the record's scope member; None if the entity has no scope."""
        return None if self.scope is None else int(record.get(self.scope) or 0)


TICKET_FILTERS = {
    "status": "status_id",
    "requesttype": "tickettype_id",
    "requesttype_id": "tickettype_id",
    "priority": "priority_id",
    "agent": "agent_id",
    "client_ids": "client_id",
    "ticketids": "id",
    "sla": "sla_id",
    "username": "user_name",
    "team_name": "team",
    "search_id": "id",
}

TICKET_PROFILE = Profile(
    stamp=STAMP,
    list_stamp="lastupdate",
    created=("dateoccurred",),
    newest_first=True,
    renamed={"user_email": "useremail"},
    detail_only=frozenset({"details_html", "user", "status_name"}),
    search=("id", "summary", "user_name", "client_name"),
    filters=TICKET_FILTERS,
    soft_delete=True,
    unpublished={"team_id": "integer", "guid": "string"},
    defaults={
        "status_id": 1,
        "tickettype_id": 1,
        "itil_requesttype_id": 1,
        "sla_id": 1,
        "priority_id": 3,
        "client_id": 1,
        "client_name": "Unknown",
        "agent_id": 1,
        "team": "1st Line Support",
        "team_id": 1,
        "user_id": 0,
        "inactive": False,
        "flagged": False,
        "attachment_count": 0,
        "child_count": 0,
        "source": MANUAL,
        "targetdate": UNSET,
        "use": "ticket",
    },
)

PROFILES: Mapping[str, Profile] = {
    "tickets": TICKET_PROFILE,
    "opportunities": TICKET_PROFILE,
    "projects": TICKET_PROFILE,
    "actions": Profile(
        scope="ticket_id",
        needs=("ticket_id",),
        newest_first=True,
        created=("datetime", "actiondatecreated", "actionarrivaldate", "actioncompletiondate"),
        search=("note", "outcome"),
        defaults={"who": "API", "who_type": 1, "hiddenfromuser": False, "important": False, "timetaken": 0, "attachment_count": 0, "colour": "#000000"},
    ),
    "asset": Profile(
        stamp="last_modified",
        list_stamp="last_modified",
        search=("inventory_number", "key_field", "key_field2", "key_field3"),
        shown_with={"includeassetfields": frozenset({"fields"})},
        filters={"assettype": "assettype_id", "assettypes": "assettype_id", "assetgroups": "assetgroup_id", "assetstatuses": "status_id"},
        defaults={"inactive": False, "use": "asset", "assettype_id": 1, "assettype_name": "Workstation", "status_id": 1},
    ),
    "client": Profile(created=("datecreated",), search=("name", "accountsid"), defaults={"inactive": False, "toplevel_id": 1, "use": "client"}),
    "site": Profile(
        created=("datecreated",),
        floats=("client_id",),
        search=("name", "client_name"),
        shown_with={"includeaddress": frozenset(ADDRESS_LINES)},
        defaults={"inactive": False, "use": "site", "colour": "#3a86ff", **dict.fromkeys(ADDRESS_LINES, "")},
    ),
    "users": Profile(
        created=("datecreated",),
        floats=("site_id",),
        search=("name", "emailaddress", "login"),
        dropped=frozenset({"twofactor_enabled"}),
        defaults={"inactive": False, "use": "user"},
    ),
    "agent": Profile(
        stamp="last_modified",
        created=("datecreated",),
        detail_only=frozenset({"email", "datecreated", "signature"}),
        unique=True,
        search=("name", "email"),
        defaults={"isdisabled": False, "is_agent": True, "colour": "#2a9d8f", "use": "agent"},
    ),
    "team": Profile(stamp="last_modified", list_stamp="last_modified", unique=True, defaults={"inactive": False, "ticket_count": 0, "use": "team"}),
    "supplier": Profile(stamp="last_modified", list_stamp="last_modified", created=("datecreated",), defaults={"inactive": False, "use": "supplier"}),
    "item": Profile(stamp="lastmodified", created=("datecreated",), search=("name", "supplier_part_code"), defaults={"use": "item"}),
    "kbarticle": Profile(
        created=("date_created",),
        edited=("date_edited",),
        detail_only=frozenset({"description", "description_html", "resolution", "resolution_html"}),
        search=("name", "description", "resolution", "tag_string"),
        defaults={"inactive": False, "view_count": 0, "useful_count": 0, "notuseful_count": 0, "use": "kb"},
    ),
    "appointment": Profile(stamp="last_modified", list_stamp="last_modified", search=("subject",), filters={"agents": "agent_id"}),
    "clientcontract": Profile(stamp="last_modified", list_stamp="last_modified", search=("ref",)),
    "status": Profile(unique=True),
    "sla": Profile(shown_with={"showpriorities": frozenset({"priorities"})}),
    "tickettype": Profile(unique=True, defaults={"use": "tickettype", "visible": True, "workflow_id": 0}),
    "webhook": Profile(
        unique=True,
        dropped=frozenset({"events"}),
        unpublished={"auto_disable_attempts": "integer", "log_ticket_attempts": "integer", "multiple_execution_mode": "integer", "group_id": "integer"},
        withheld=frozenset({"basic_password"}),
        defaults={"active": True, "type": 0, "method": 0, "last_status": 0},
    ),
    "customintegration": Profile(withheld=frozenset({"new_client_secret", "new_password"})),
    "customtable": Profile(unique=True, unpublished={"table_type": "integer"}, defaults={"table_type": 0}),
    "lookup": Profile(scope="lookupid"),
    "webhookevent": Profile(newest_first=True),
    "notification": Profile(defaults={"acknowledge_type": 0, "condition_count": 0}),
    "attachment": Profile(
        stamp="last_updated",
        created=("datecreated",),
        needs=("ticket_id", "action_id", "unique_id", "type"),
        detail_only=frozenset({"data", "data_base64"}),
        search=("filename",),
        defaults={"type": 0},
    ),
    "assetchange": Profile(needs=("asset_id",)),
    "assetsoftware": Profile(needs=("device_id",)),
    "assettypeinfo": Profile(renamed={"field_id": "id"}),
    "onlinestatus": Profile(detail_only=frozenset({"id"})),
    "timesheet": Profile(fixed={"id": 0}),
    "timesheet/forecasting": Profile(fixed={"id": 0}),
    "workflowstep": Profile(detail_only=frozenset({"id"})),
    "invoice": Profile(stamp="last_modified", list_stamp="last_modified", search=("name", "reference"), defaults={"voided": False}),
    "crmnote": Profile(ignores_pages=True),
    "feed": Profile(ignores_pages=True, newest_first=True),
}

DEFAULT_PROFILE = Profile()


def profile_of(entity: str) -> Profile:
    """`entity` in lower case, such as `tickets`."""
    return PROFILES.get(entity, DEFAULT_PROFILE)
