"""Halo API actions: named presets over the API, with the JSON that each expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from worker.core.errors import WorkerError
from worker.core.suggest import did_you_mean


class UnknownAction(WorkerError):
    """No action has this name; the text holds the nearest names, or all."""


@dataclass(frozen=True, slots=True)
class Action:
    """`entity` and `method` name an operation of the catalogue.

    `template`: an example body with the most useful members; a body may have other members of the entity. `required`: members that Halo requires; of the
    members in a tuple one is enough. `keeps`: members of the present record that Halo requires in an update: the worker reads them first and sends them too.
    """

    name: str
    title: str
    method: str
    entity: str
    template: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str | tuple[str, ...], ...] = ()
    keeps: tuple[str, ...] = ()

    def missing(self, body: Mapping[str, Any]) -> list[str]:
        """Return the members that this body lacks, as words for a sentence."""
        lacking = []
        for need in self.required:
            names = (need,) if isinstance(need, str) else need
            if all(body.get(name) in (None, "", 0) for name in names):
                lacking.append(" or ".join(names))
        return lacking


def pair(
    noun: str, title: str, entity: str, template: Mapping[str, Any], *required: str | tuple[str, ...], also: tuple[str, ...] = ()
) -> tuple[Action, Action]:
    """Return the actions to create and to edit a record. An edit sends the id, the members in `also` that identify the record with it, and the changes."""
    edited = {"id": 123} | dict(template)
    return (
        Action(f"create_{noun}", f"Create {title}", "POST", entity, template, required),
        Action(f"edit_{noun}", f"Edit {title}", "POST", entity, edited, ("id", *also)),
    )


CUSTOMER = {
    "name": "Acme Ltd",
    "toplevel_id": 1,
    "website": "https://acme.example",
    "notes": "",
    "inactive": False,
    "customfields": [{"name": "CFTier", "value": "1"}],
}
SITE = {"name": "Head office", "client_id": 12, "phonenumber": "", "notes": "", "inactive": False, "customfields": []}
USER = {
    "firstname": "Ada",
    "surname": "Lovelace",
    "name": "Ada Lovelace",
    "emailaddress": "ada@acme.example",
    "client_id": 12,
    "site_id": 15,
    "inactive": False,
}
ASSET = {
    "inventory_number": "LAPTOP-0042",
    "assettype_id": 130,
    "client_id": 12,
    "site_id": 15,
    "status_id": 1,
    "notes": "",
    "inactive": False,
    "fields": [{"id": 101, "value": "text"}],
}
LOOKUP = {"lookupid": 27, "name": "Open", "value2": "", "value3": "", "inactive": False}
KB_ARTICLE = {"name": "How to connect", "description": "Text of the question", "resolution": "Text of the answer", "kb_tags": "vpn", "inactive": False}
TICKET_RULE = {"name": "VIP", "active": True, "precedence": 1, "criteria": [], "new_priority_id": 1, "new_team": "1st Line", "stopmatching": False}
TICKET = {
    "summary": "Printer does not print",
    "details_html": "<p>It says PC LOAD LETTER.</p>",
    "tickettype_id": 1,
    "client_id": 12,
    "site_id": 15,
    "user_id": 20,
    "priority_id": 3,
    "third_party_id_string": "ref-4711",
    "customfields": [{"name": "CFSource", "value": "1"}],
}

EVERY = (
    *pair("customer", "a customer", "Client", CUSTOMER, "name"),
    *pair("site", "a site", "Site", SITE, "name", "client_id"),
    *pair("user", "a user", "Users", USER, ("name", "firstname", "surname"), "site_id"),
    *pair("asset", "an asset", "Asset", ASSET, "assettype_id", ("client_id", "site_id")),
    *pair("lookup", "a value of a lookup", "Lookup", LOOKUP, "lookupid", "name", also=("lookupid",)),  # its id counts within its lookup
    *pair("kb_article", "a knowledge base article", "KBArticle", KB_ARTICLE, "name"),
    *pair("ticket_rule", "a ticket rule", "TicketRules", TICKET_RULE, "name"),
    Action(
        "edit_custom_table",
        "Add rows to a custom table, whose other rows stay (its definition's `db_name` must not be sent)",
        "POST",
        "CustomTable",
        {"id": 12, "_add_rows": [{"column_1": "value"}]},
        ("id",),
    ),
    Action("get_control", "Read the global settings", "GET", "Control"),
    Action("create_ticket", "Create a ticket; for a named user it also needs their site", "POST", "Tickets", TICKET, ("summary",)),
    Action(
        "update_ticket",
        "Update a ticket; the worker first reads its type and customer, which Halo requires",
        "POST",
        "Tickets",
        {"id": 4242, "status_id": 2, "agent_id": 3, "customfields": []},
        ("id",),
        ("tickettype_id", "client_id"),
    ),
    Action(
        "create_action",
        "Add an action (a note) to a ticket",
        "POST",
        "Actions",
        {"ticket_id": 4242, "outcome": "Note", "note_html": "<p>Text</p>", "hiddenfromuser": True, "sendemail": False},
        ("ticket_id", ("outcome", "outcome_id")),
    ),
    Action(
        "create_attachment",
        "Attach a file to a ticket or an action; `data_base64` is its content as Base64 text",
        "POST",
        "Attachment",
        {"ticket_id": 4242, "filename": "report.txt", "data_base64": "cmVwb3J0"},
        ("filename", "data_base64", ("ticket_id", "action_id")),
    ),
)
ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in EVERY})


def find_action(name: str) -> Action:
    """Raises `UnknownAction`."""
    if name in ACTIONS:
        return ACTIONS[name]
    hint = did_you_mean(name, ACTIONS) or f"; there are {', '.join(ACTIONS)}"
    raise UnknownAction(f"there is no action {name!r}{hint}")
