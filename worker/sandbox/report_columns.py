"""Columns of Halo's database whose names differ from the members of the API, as published reports use them."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "actions": {
        "faultid": "ticket_id",
        "actionnumber": "id",
        "whe_": "datetime",
        "whoagentid": "who_agentid",
        "actoutcome": "outcome",
        "actionhide": "hiddenfromuser",
    },
    "tickets": {
        "faultid": "id",
        "symptom": "summary",
        "symptom2": "details",
        "dateoccured": "dateoccurred",
        "datecleared": "dateclosed",
        "status": "status_id",
        "areaint": "client_id",
        "assignedtoint": "agent_id",
        "userid": "user_id",
        "username": "user_name",
        "requesttypenew": "tickettype_id",
    },
    "audit": {
        "afaultid": "ticket_id",
        "avalue": "value",
        "afrom": "from",
        "ato": "to",
        "adate": "date",
        "aunum": "agent_id",
        "atablename": "table_name",
        "apkid1": "id1",
        "apkid2": "id2",
    },
    "client": {"aarea": "id", "aareadesc": "name"},
    "agent": {"unum": "id", "uname": "name"},
}
"""For each entity: the column in lower case, and the member of the API."""


def renamed(entity: str) -> Mapping[str, str]:
    return COLUMNS.get(entity, {})
