"""The routes under chaos."""

from __future__ import annotations

from typing import Any

PERSON = "Mark-Person Data"  # a customer's data, in every payload: no log may tell it
SECRET = "mark-client-secret/7f3a+x"
RETRY = ["1s", "1s", "2s", "2s", "5s", "5s", "10s", "15s", "15s", "15s"]
TIMEOUT = "3s"
NOTED = range(1, 101)  # tickets that get notes
CHANGED = range(101, 201)  # tickets that somebody changes in Halo, and we as well


def find(member: str, **more: Any) -> dict[str, Any]:
    value = f"{{{{ payload.{member} }}}}"
    return {"query": {"search": value}, "match": {member: value}} | more


def publisher(queue: str, entity: str, **more: Any) -> dict[str, Any]:
    return {"client": "main", "queue": queue, "entity": entity, "retry": RETRY, "concurrency": 4} | more


def route_file(*, everything: bool = True, rate_limit: int | None = None) -> dict[str, Any]:
    """Everything, or only creates that can be looked up. `HALO_URL` differs from replica to replica: each has a proxy of its own. `rate_limit`: requests in five minutes."""
    auth = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "${file:halo_client_secret}"}
    clients = {"main": {"url": "${HALO_URL}", "auth": auth, "rate_limit": f"{rate_limit}/5m" if rate_limit else "none", "timeout": TIMEOUT}}
    publishers = {"assets": publisher("assets", "Asset", find=find("inventory_number"))}
    if not everything:
        return {"clients": clients, "publishers": publishers}
    publishers |= {
        "suppliers": publisher("suppliers", "Supplier", find=find("name", use="always", then="skip")),
        "blind": publisher("blind", "Asset"),
        "twice": publisher("twice", "Asset", find=find("inventory_number"), once="{{ payload.inventory_number }}"),
        "lanes": publisher("lanes", "Asset", order_by="{{ payload.id }}", fair_by="{{ payload.id % 3 }}"),
        "touched": publisher("touched", "Tickets"),
    }
    subscriber = {"client": "main", "entity": "Tickets", "every": "1s", "start": "beginning", "overlap": "30s"}
    return {"clients": clients, "publishers": publishers, "subscribers": {"tickets": subscriber}, "runbooks": {"note": note()}}


def note() -> dict[str, Any]:
    """A note on a ticket, with a step before it and one behind."""
    body = {"ticket_id": "<<Ticket>>", "outcome": "Note", "note_html": "<<Text>>"}
    looked_up = {"query": {"ticket_id": "<<Ticket>>", "includehtmlnote": True}, "match": {"note_html": "<<Text>>"}, "then": "skip"}
    steps = {
        "begin": {"next": "write"},
        "write": {"action": "create_action", "client": "main", "body": body, "find": looked_up, "retry": RETRY, "next": "finished"},
        "finished": {"end": "done"},
    }
    return {"start": {"queue": "notes"}, "input": {"Ticket": "request^ticket", "Text": "request^text!"}, "first": "begin", "steps": steps}
